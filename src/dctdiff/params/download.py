"""Params of the download stage."""

from typing import Literal

from pydantic import Field, model_validator

from dctdiff.params.slice import Slice

SHA256 = r"^[0-9a-f]{64}$"


class Download(Slice):
    source: Literal["scikit-image", "files"] = Field(
        description="scikit-image: the photographs inside the installed package; "
        "files: an archive (zip, tar, any compression) or a folder of images"
    )
    train: str = Field(None, description="files: path of the training images")
    train_sha256: str = Field(
        None, pattern=SHA256, description="files: SHA-256 of that archive, or of the folder's listing"
    )
    heldout: str = Field(None, description="files: path of the held-out images")
    heldout_sha256: str = Field(None, pattern=SHA256, description="files: its SHA-256")

    @model_validator(mode="after")
    def paths_belong_to_files(self):
        given = [self.train, self.train_sha256, self.heldout, self.heldout_sha256]
        if self.source == "files" and None in given:
            raise ValueError("source files needs train, train_sha256, heldout and heldout_sha256")
        if self.source != "files" and any(given):
            raise ValueError(f"source {self.source} takes no paths; remove train and heldout")
        return self
