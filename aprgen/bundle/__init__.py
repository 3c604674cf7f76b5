"""Bundles: several models in one C file with a registry, as code, as embedded .apr bytes, or both."""
