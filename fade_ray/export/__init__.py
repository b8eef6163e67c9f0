"""A found architecture as files that live without fade_ray: a plain PyTorch module with its
weights, or ONNX.

`export_module` writes what a person reads and pastes into a project, `export_onnx` what another
runtime loads.
"""

from fade_ray.export.export_module import export_module
from fade_ray.export.onnx_file import export_onnx
from fade_ray.export.operation_text import OPERATION_TEXTS, OperationText, check_texts

__all__ = ["OPERATION_TEXTS", "OperationText", "check_texts", "export_module", "export_onnx"]
