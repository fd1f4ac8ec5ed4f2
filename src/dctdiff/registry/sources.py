"""Sources of images."""

from dataclasses import dataclass

from dctdiff.pipeline.named import At

FILE_NAME = r"[\w-][\w.-]*"

FILES_OF_IMAGES = At("dctdiff.data.sources.read_files")


@dataclass(frozen=True, kw_only=True)
class Source:
    """``fetch``: a function, ``dctdiff.data.fetching.Remote`` -> path of what has arrived; None: images are here.

    ``read``: a function as ``dctdiff.data.sources.read_files``: name and bytes of each image.
    """

    words: str
    read: At
    address: str | None = None  # the pattern of one; None: the source takes no key
    address_in_words: str = ""
    example: str = ""  # of an address
    fetch: At | None = None
    page: str = "{}"  # where a browser gets what lies at an address
    suffix: str = ""  # what the last part of an address lacks as the name of a file
    has_names: bool = True  # whether an address names a file; else the key filename does
    has_several: bool = True  # whether several archives may be named


SOURCES = {
    "scikit-image": Source(
        words="the photographs inside the installed package",
        read=At("dctdiff.data.photographs.read_photographs"),
    ),
    "files": Source(
        words="an archive (zip, tar, any compression) or a folder on disk",
        read=FILES_OF_IMAGES,
        address=r".+",
        address_in_words="a path",
        example="photos.zip",
    ),
    "http": Source(
        words="an archive, fetched into data/sources if it does not lie there",
        read=FILES_OF_IMAGES,
        address=rf"https?://.+/{FILE_NAME}",
        address_in_words="a URL that ends in the name of a file",
        example="https://example.org/photos.zip",
        fetch=At("dctdiff.data.fetching.http_file"),
    ),
    "gdrive": Source(
        words="the same from Google Drive",
        read=FILES_OF_IMAGES,
        address=r"[\w-]+",
        address_in_words="the id of a file, as in its link",
        example="0B7EVK8",
        fetch=At("dctdiff.data.fetching.gdrive_file"),
        page="https://drive.google.com/file/d/{}/view",
        has_names=False,
        has_several=False,
    ),
    "kaggle": Source(
        words="the same from Kaggle",
        read=FILES_OF_IMAGES,
        address=rf"{FILE_NAME}/{FILE_NAME}",
        address_in_words="owner/name, as in its link",
        example="someone/photos",
        fetch=At("dctdiff.data.fetching.kaggle_archive"),
        page="https://www.kaggle.com/datasets/{}",
        suffix=".zip",
        has_several=False,
    ),
}
