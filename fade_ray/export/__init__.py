"""An architecture as files that live without fade_ray: a plain PyTorch module, or ONNX."""

from fade_ray.export.export_module import export_module
from fade_ray.export.onnx_file import export_onnx, of_images
from fade_ray.export.operation_text import OPERATION_TEXTS, OperationText, check_texts

__all__ = [
    "OPERATION_TEXTS",
    "OperationText",
    "check_texts",
    "export_module",
    "export_onnx",
    "of_images",
]
