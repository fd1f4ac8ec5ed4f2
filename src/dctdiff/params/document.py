"""YAML documents, read strictly."""

from pathlib import Path

import yaml

from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing_file


class UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a repeated key is an error: the second would silently win."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key {key.value} stands here twice; remove one"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_document(path: str | Path) -> dict:
    """A mapping, not yet validated; a UserError names the line of what is not YAML."""
    try:
        document = yaml.load(existing_file(path).read_text(encoding="utf-8"), UniqueKeyLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} should hold groups of keys, but found {document!r}")
    return document
