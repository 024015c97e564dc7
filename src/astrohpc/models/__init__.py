"""Models: plain ``nn.Module`` that know nothing of processes, precision or files."""
