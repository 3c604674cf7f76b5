"""The ops: what generated code is made of. One file per op, each with the arithmetic of its C and nothing else."""
