"""Params of the autoencoder of a latent space."""

from pydantic import Field, model_validator

from dctdiff.params.download import check_url
from dctdiff.pipeline.slice import Digest, Seed, Slice, Text


class Autoencoder(Slice):
    file: Text = Field(
        None,
        description="path of its weights, of Stable Diffusion 1: .safetensors as diffusers names them, or the .pth of "
        "latent diffusion",
    )
    url: Text = Field(
        None, description="instead of file: its URL; fetched into data/sources/weights if it does not lie there"
    )
    sha256: Digest = Field(None, description="SHA-256 of that file")
    seed: Seed = Field(None, description="instead of a file: a tiny one of random weights drawn from it, for tests")

    @model_validator(mode="after")
    def has_one_place(self):
        if sum(place is not None for place in (self.file, self.url, self.seed)) != 1:
            raise ValueError("give one of file (a path), url (fetched) and seed (random weights)")
        if (self.sha256 is None) != (self.seed is not None):
            raise ValueError("sha256 belongs to file and url, which need it, and not to seed")
        if self.url is not None:
            check_url(self.url)
        return self
