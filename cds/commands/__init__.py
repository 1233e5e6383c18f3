"""The groups of commands of `cds`, one file each; `cds.cli` mounts them. Heavy imports happen when a command runs."""
