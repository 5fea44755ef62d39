"""The same archives on Ray: the only package that imports ray, which is the extra `headswap[ray]`."""
