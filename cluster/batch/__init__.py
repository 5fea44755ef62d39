"""`headswap predict --cluster`: folders of photos classified by the actors of a cluster, without a server."""
