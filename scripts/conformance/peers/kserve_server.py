"""KServe's Python server with the models of models.py."""

import kserve
import numpy as np
from kserve.errors import InvalidInput
from kserve.utils.utils import generate_uuid

import models


class Runtime(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def get_input_types(self):
        return models.SPECS[self.name]["inputs"]

    def get_output_types(self):
        return models.SPECS[self.name]["outputs"]

    def predict(self, payload, headers=None, response_headers=None):
        try:
            outputs = models.compute(self.name, {i.name: i.as_numpy() for i in payload.inputs})
        except ValueError as e:
            raise InvalidInput(str(e))
        return self.response(payload, outputs)

    def response(self, payload, outputs):
        tensors = []
        for spec in self.get_output_types():
            array = outputs[spec["name"]]
            tensor = kserve.InferOutput(spec["name"], list(array.shape), spec["datatype"])
            tensor.set_data_from_numpy(array, binary_data=payload.use_binary_outputs)
            tensors.append(tensor)
        return kserve.InferResponse(
            payload.id or generate_uuid(), self.name, tensors,
            use_binary_outputs=payload.use_binary_outputs, requested_outputs=payload.request_outputs,
        )


class Iris(Runtime):
    """Classes of irises by the length of their petals."""

    def predict(self, payload, headers=None, response_headers=None):
        rows = payload.inputs[0].as_numpy()
        if rows.ndim != 2 or rows.shape[1] != 4:
            raise InvalidInput("four measures a row are needed")
        classes = np.digitize(rows[:, 2], [2.5, 4.9]).astype("int64").reshape(-1, 1)
        return self.response(payload, {"predict": classes})


if __name__ == "__main__":
    kserve.ModelServer().start([Runtime("simple"), Iris("iris"), Runtime("identity"), Runtime("identity_fp16")])
