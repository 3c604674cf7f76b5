"""What was measured of strategies for blocks of rows, the costs learned from it, and the choices that follow."""
