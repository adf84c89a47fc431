from time import sleep

from celery import Celery

FOLDERS = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "queue", "polling_interval": 0.1}

app = Celery("shop", broker="filesystem://", backend="skyhooks")
app.conf.update(broker_transport_options=FOLDERS, task_track_started=True)


@app.task(bind=True)
def pack(self, items):
    for number, item in enumerate(items, 1):
        self.update_state(state="PROGRESS", meta={"packed": item, "done": number, "of": len(items)})
        sleep(0.2)
    return f"{len(items)} items packed"


@app.task
def charge(cents):
    if cents <= 0:
        raise ValueError(f"cannot charge {cents} cents")
    return {"charged": cents}
