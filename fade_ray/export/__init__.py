"""An architecture as files that live without fade_ray: a plain PyTorch module, or other forms."""

from collections.abc import Iterable
from pathlib import Path

from fade_ray.export.export_module import export_module, folded_text
from fade_ray.export.language_text import export_language
from fade_ray.export.onnx_file import export_onnx, of_images
from fade_ray.export.operation_text import OPERATION_TEXTS, OperationText, check_texts
from fade_ray.export.program_file import export_program
from fade_ray.nn import Network

FORMS = {"onnx": export_onnx, "pt2": export_program}
"""Further forms of a trained network, by the suffix of their file."""


def in_forms(network: Network, stem: Path, forms: Iterable[str]) -> list[Path]:
    """The same network in these forms, beside its module; what is said of the images is taken from
    there. Raises InvalidInput.
    """
    images = of_images(stem.with_suffix(".json"))
    return [FORMS[form](network, stem.with_suffix(f".{form}"), **images) for form in forms]


__all__ = [
    "FORMS",
    "OPERATION_TEXTS",
    "OperationText",
    "check_texts",
    "export_language",
    "export_module",
    "export_onnx",
    "export_program",
    "folded_text",
    "in_forms",
    "of_images",
]
