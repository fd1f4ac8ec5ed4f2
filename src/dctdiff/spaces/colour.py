"""The colour space YCbCr: from RGB images to planes and back."""

import torch
import torch.nn.functional as F

# ITU-R BT.601 full range, the JPEG colour space (protocol points 8 and 16).
YCBCR_FROM_RGB = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
RGB_FROM_YCBCR = (
    (1.0, 0.0, 1.402),
    (1.0, -0.344136, -0.714136),
    (1.0, 1.772, 0.0),
)


def ycbcr_planes(images: torch.Tensor) -> torch.Tensor:
    """``(N, R, R, 3)`` uint8 -> ``(N, 3, R, R)`` float64: Y, Cb and Cr, each minus 128 (protocol points 8 and 10)."""
    planes = torch.einsum("nhwc,dc->ndhw", images.double(), _float64(YCBCR_FROM_RGB, images.device))
    planes[:, 1:] += 128.0
    # Through float32, as in the paper's code: grey has no chroma, not even 1e-14 of it.
    return planes.float().double() - 128.0


def rgb_images(planes: torch.Tensor) -> torch.Tensor:
    """``(N, 3, R, R)`` float, centred Y, Cb, Cr -> ``(N, R, R, 3)`` uint8 (protocol point 16)."""
    centre = planes.new_tensor([128.0, 0.0, 0.0])[:, None, None]
    # Through float32 again: what is whole in exact arithmetic is not truncated to one level less.
    ycbcr = (planes + centre).float().double()
    rgb = torch.einsum("nchw,dc->nhwd", ycbcr, _float64(RGB_FROM_YCBCR, planes.device))
    return rgb.clamp(0, 255).to(torch.uint8)  # truncates, as the paper's code does


def doubled(planes: torch.Tensor) -> torch.Tensor:
    """``(N, C, h, w)`` -> ``(N, C, 2h, 2w)``: weights 1/4 and 3/4, edges replicated (protocol point 15)."""
    return F.interpolate(planes, scale_factor=2, mode="bilinear", align_corners=False)


def _float64(matrix: tuple[tuple[float, ...], ...], device: torch.device) -> torch.Tensor:
    return torch.tensor(matrix, dtype=torch.float64, device=device)
