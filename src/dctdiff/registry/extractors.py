"""Extractors of features: each has the metric of their Frechet distance."""

from dataclasses import dataclass

from dctdiff.pipeline.named import At


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """``features``: a function (resolution, device) -> ``dctdiff.metrics.features.Extractor``."""

    features: At
    gmacs: float  # of one image at ``resolution``, for forecasts; by their papers, of CLIP counted
    resolution: int  # to which images are resized for it, where nobody says otherwise
    metric: str | None = None  # which is defined at that resolution only
    weights: At | None = None  # name of their file; None: they need not be fetched


EXTRACTORS = {
    "efficientnet-lite0": Extractor(
        features=At("dctdiff.metrics.features.efficientnet_lite0"), gmacs=0.41, resolution=224
    ),
    "inception": Extractor(
        features=At("dctdiff.metrics.features.inception"),
        gmacs=5.7,
        resolution=299,
        metric="FID",
        weights=At("dctdiff.metrics.features.INCEPTION_FILE"),
    ),
    "inception-spatial": Extractor(
        features=At("dctdiff.metrics.features.inception_spatial"),
        gmacs=5.7,
        resolution=299,
        metric="sFID",
        weights=At("dctdiff.metrics.features.INCEPTION_FILE"),
    ),
    "clip": Extractor(
        features=At("dctdiff.metrics.features.clip_embeddings"),
        gmacs=191,
        resolution=336,
        metric="CMMD",
        weights=At("dctdiff.metrics.clip.FILE"),
    ),
}
