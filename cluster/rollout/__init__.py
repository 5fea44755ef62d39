"""Promotions on a cluster: its store, its management and its session, with the steps of serving/rollout."""
