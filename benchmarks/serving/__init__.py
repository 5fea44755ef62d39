"""Servers: throughput, latency, memory and start-up of headswap and its peers."""
