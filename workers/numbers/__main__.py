"""``python -P -m workers.numbers``: a number server in this process, until SIGINT or SIGTERM."""

from gevent import monkey

monkey.patch_all()

from workers.numbers.command import main  # noqa: E402  # nothing before the patching

if __name__ == "__main__":
    main()
