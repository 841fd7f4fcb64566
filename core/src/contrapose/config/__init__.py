"""Configs: YAML with line numbers (``yaml``), the tree (``config``), its top level (``schema``), and components (``build``)."""

from contrapose.config.build import Parameter, bind, build, check, parameters, signature
from contrapose.config.config import Config

__all__ = ["Config", "Parameter", "bind", "build", "check", "parameters", "signature"]
