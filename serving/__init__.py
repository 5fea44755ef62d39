"""TorchServe from outside: archives checked, servers started, requests sent, versions promoted and rolled back."""
