"""Engines of training behind one protocol: one process, Horovod, DDP, FSDP2.

The loop, the models and the data know :class:`~astrohpc.train.engines.base.Engine` and no more.
"""
