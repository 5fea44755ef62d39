"""Scripts that measure every figure of the documentation: headswap and its peers in turn, on the same machine."""
