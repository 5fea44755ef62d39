"""The servers: how many photos a second, how late, how large; headswap and its peers."""
