"""What only a cluster, or a folder of very many photos, can show."""
