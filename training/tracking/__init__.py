"""Runs followed while they learn, in TensorBoard or MLflow: only where `headswap train --log` asks for it."""
