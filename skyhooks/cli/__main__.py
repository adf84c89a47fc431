"""``python -m skyhooks.cli``, for where the script is not on the path."""

from skyhooks.cli import main

main(prog_name="skyhooks")
