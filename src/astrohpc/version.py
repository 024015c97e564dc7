"""The version, in a module of its own.

A package's ``__init__`` is not found where the current folder holds another folder named ``astrohpc``
(the one that a clone lies in) and the installation is an editable one; its modules are.
"""

VERSION = "0.1.0"
