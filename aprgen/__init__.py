"""aprgen compiles small trained models (.apr files) to C."""

__version__ = "0.1.0"
