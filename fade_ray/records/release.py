"""The version of this package, written here alone: where it travels as a folder to the nodes of a
cluster, there is no metadata to read.
"""

VERSION = "0.1.0"
