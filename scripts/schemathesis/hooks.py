"""How generated requests authenticate.

TOKEN is sent to every operation but the token endpoint, where it would be the
credential of a client. There, requests that are to succeed get ADMIN_PASSWORD,
and those to open a text CIPHERTEXT, which no generator would find. Nor would it find
tables: what is written in CSV is beyond a JSON Schema; nor tensors, which have to agree
with each other and with the model's: they are the iris model's; nor days, of which the last
is not before the first, nor both long ago. No client is so short of patience that 503
would be the right answer.
"""

import copy
import datetime
import os

import schemathesis
from schemathesis.generation import GenerationMode

TABLE = "petal_width,petal_length,sepal_width,sepal_length\r\n0.2,1.4,3.5,5.1\r\n"
ROW = [5.1, 3.5, 1.4, 0.2]
TENSORS = {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": ROW}]}
ROWS = {"instances": [ROW]}


@schemathesis.auth().skip_for(path="/token")
class Bearer:
    def get(self, case, context):
        return os.environ["TOKEN"]

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


def is_hurry(seconds):
    try:
        return 0 < float(seconds) < 1
    except (TypeError, ValueError):
        return False


@schemathesis.hook
def before_call(context, case, kwargs):
    if is_hurry((case.headers or {}).get("Request-Timeout")):
        case.headers["Request-Timeout"] = "2.5"
    positive = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    if case.path == "/token" and positive and isinstance(case.body, dict) and "username" in case.body:
        case.body |= {"username": "admin", "password": os.environ["ADMIN_PASSWORD"]}
    if case.media_type == "text/csv" and positive:
        case.body = TABLE
    if case.path.startswith("/decrypt") and positive and isinstance(case.body, dict):
        case.body = {"ciphertext": os.environ["CIPHERTEXT"]}
    if case.path.endswith("/infer") and positive:
        case.media_type = "application/json"
        case.body = copy.deepcopy(TENSORS)
    if case.path == "/usage" and positive and case.query:
        today = datetime.datetime.now(datetime.UTC).date()
        case.query = {"from": str(today - datetime.timedelta(days=2)), "to": str(today)}
    if case.path.endswith(":predict") and positive:
        case.body = copy.deepcopy(ROWS)
