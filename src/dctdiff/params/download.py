"""Params of the download stage."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from dctdiff.pipeline.slice import Digest, Images, Slice, Text, checked_text
from dctdiff.registry.sources import FILE_NAME, SOURCES

MD5 = r"[0-9a-fA-F]{32}"


def check_url(url: str) -> None:
    """A ValueError unless one file can be fetched from there."""
    if not re.fullmatch(SOURCES["http"].address, url):
        raise ValueError(f"url is {url!r}, but should be {SOURCES['http'].address_in_words}")


def listed(value):
    """One address stands for a list of one."""
    return [value] if isinstance(value, str) else value


Addresses = Annotated[list[str], BeforeValidator(listed)]


class Download(Slice):
    source: Literal[*SOURCES] = Field(
        "files", description="; ".join(f"{name}: {source.words}" for name, source in SOURCES.items())
    )
    train: Addresses = Field(
        None,
        min_length=1,
        max_length=100,
        description="where the training images are; "
        f"{'; '.join(f'{name}: {source.address_in_words}' for name, source in SOURCES.items() if source.address)}; "
        "a list if they are in several archives",
    )
    train_sha256: Digest = Field(None, description="SHA-256 of that archive, or of the folder's listing")
    train_md5: str = Field(None, description="its MD5, where only that is published")
    train_folder: Text = Field(None, description="folder within it that holds them; without it, all its images")
    n_train: Images = Field(None, description="number of them; of what is fetched needed without a digest")
    heldout: Addresses = Field(
        None,
        min_length=1,
        max_length=100,
        description="files, http: where the held-out images are, if in an archive of their own",
    )
    heldout_sha256: Digest = Field(None, description="SHA-256 of that archive, or of the folder's listing")
    heldout_folder: Text = Field(
        None, description="folder that holds the held-out images, in the archive of heldout or else of train"
    )
    n_heldout: Images = Field(
        None, description="number of them; of what is fetched needed with heldout without a digest"
    )
    format: Literal["images", "cifar10", "imagenet64"] = Field(
        "images",
        description="images: image files; cifar10, imagenet64: the official batch files, whose images become JPEG",
    )
    filename: Text = Field(None, description="gdrive: name of the archive in data/sources")
    unfit: Literal["strict", "skip", "convert"] = Field(
        "strict",
        description="images that cannot be used as they are: strict: refuse them all at once; skip: leave them out; "
        "convert: make RGB images of 8 bit of those that can be read, and leave out the others",
    )
    background: Literal["white", "grey", "black"] = Field(
        None, description="convert: the colour behind what is transparent"
    )

    @property
    def has_heldout(self) -> bool:
        """Whether the source has held-out images of its own."""
        return bool(self.heldout or self.heldout_folder or self.format == "cifar10")

    @field_validator("train", "heldout")
    @classmethod
    def addresses_are_text(cls, addresses):
        return [checked_text(address) for address in addresses]

    @model_validator(mode="after")
    def keys_of_the_source(self):
        given = self.model_dump(exclude_defaults=True, exclude={"source"})
        source = SOURCES[self.source]
        if source.address is None:
            if given:
                raise ValueError(f"source {self.source} takes no other key; remove {', '.join(given)}")
            return self
        if not self.train:
            raise ValueError(f"source {self.source} needs train")
        if (self.filename is None) != source.has_names:
            nameless = [name for name, other in SOURCES.items() if not other.has_names]
            raise ValueError(f"filename belongs to source {' or '.join(nameless)}, which needs it")
        if self.filename is not None and not re.fullmatch(FILE_NAME, self.filename):
            raise ValueError(f"filename is {self.filename!r}, but should be letters, digits, '.', '_' and '-'")
        if not source.has_several and (self.heldout or len(self.train) > 1):
            raise ValueError(f"source {self.source} takes one archive; use heldout_folder for its held-out images")
        return self

    @model_validator(mode="after")
    def background_is_needed_to_convert(self):
        if (self.background is not None) != (self.unfit == "convert"):
            raise ValueError("background belongs to unfit: convert, which needs it")
        if self.unfit != "strict" and self.format != "images":
            raise ValueError(f"unfit is {self.unfit}, but format {self.format} has only images of one kind; remove it")
        return self

    @model_validator(mode="after")
    def addresses_are_of_the_source(self):
        for key in ("train", "heldout"):
            for address in getattr(self, key) or []:
                source = SOURCES[self.source]
                if not re.fullmatch(source.address, address):
                    raise ValueError(f"{key} is {address!r}, but source {self.source} needs {source.address_in_words}")
        return self

    @model_validator(mode="after")
    def every_archive_is_checked(self):
        if self.train_md5 and not re.fullmatch(MD5, self.train_md5):
            raise ValueError(f"train_md5 is {self.train_md5!r}, but should be 32 hexadecimal digits")
        for key, digests, count in (
            ("train", ("train_sha256", "train_md5"), "n_train"),
            ("heldout", ("heldout_sha256",), "n_heldout"),
        ):
            addresses = getattr(self, key) or []
            has_digest = any(getattr(self, digest) for digest in digests)
            if has_digest and len(addresses) != 1:
                raise ValueError(f"{' and '.join(digests)} belong to one archive; use {count} to check {key}")
            if SOURCES[self.source].fetch and addresses and not has_digest and getattr(self, count) is None:
                raise ValueError(f"{key} needs {' or '.join((*digests, count))}, to check what is fetched")
        if self.n_heldout and not self.has_heldout:
            raise ValueError("n_heldout needs heldout or heldout_folder; crop.n_heldout takes some training images")
        return self

    @model_validator(mode="after")
    def folders_are_relative(self):
        for key in ("train_folder", "heldout_folder"):
            folder = getattr(self, key)
            if folder is not None and (folder[0] == "." or {"", ".", ".."} & set(folder.split("/"))):
                raise ValueError(f"{key} is {folder!r}, but should be a folder within the archive, such as a/b")
        return self
