"""A found architecture as files that live without fade_ray: a plain PyTorch module with its
weights, or ONNX.

`export_module` (chains) and `export_cells` (genotypes) write what a person reads and pastes into a
project, `export_onnx` what another runtime loads.
"""

from fade_ray.export.export_cells import export_cells
from fade_ray.export.export_chain import export_module
from fade_ray.export.onnx_file import export_onnx

__all__ = ["export_cells", "export_module", "export_onnx"]
