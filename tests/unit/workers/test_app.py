"""The demo's application: where its broker and store come from, and what its worker promises."""

import subprocess
import sys
from pathlib import Path

from skyhooks.broker import TRANSPORT
from workers.app import default_broker, make_app

ROOT = Path(__file__).parents[3]


def test_the_broker_is_the_one_in_the_environment() -> None:
    assert default_broker({"SKYHOOKS_BROKER": "amqp://host//"}) == "amqp://host//"
    assert make_app({"SKYHOOKS_BROKER": "amqp://host//"}).conf.broker_url == "amqp://host//"


def test_without_one_it_is_a_folder_in_the_state_folder() -> None:
    app = make_app({"XDG_STATE_HOME": "/state", "SKYHOOKS_STORE": "mongodb://elsewhere"})

    assert app.conf.broker_url == "file:///state/skyhooks/broker"
    assert app.conf.broker_transport == TRANSPORT


def test_a_killed_workers_task_is_not_lost() -> None:
    conf = make_app({"SKYHOOKS_BROKER": "memory://"}).conf

    assert (conf.task_acks_late, conf.task_reject_on_worker_lost, conf.task_track_started) == (True, True, True)
    assert (conf.worker_prefetch_multiplier, conf.result_backend) == (1, "skyhooks")


def test_gevent_patches_before_anything_networked_is_imported() -> None:
    # Celery's own entry point, up to the moment in which it would parse its command line.
    code = (
        "import sys; sys.argv = ['celery', '-A', 'workers.app', 'worker', '-P', 'gevent']\n"
        "import celery; celery.maybe_patch_concurrency()\n"
        "assert 'requests' not in sys.modules and 'workers.app' not in sys.modules\n"
        "import workers.app, socket, threading, gevent.monkey\n"
        "workers.app.app.backend\n"
        "assert 'skyhooks.sender' in sys.modules\n"
        "assert gevent.monkey.is_module_patched('socket')\n"
        "import urllib3.connection, gevent.socket\n"
        "assert socket.socket is gevent.socket.socket\n"
    )
    environ = {"SKYHOOKS_STORE": "memory://", "SKYHOOKS_BROKER": "memory://", "PATH": ""}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=environ, cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
