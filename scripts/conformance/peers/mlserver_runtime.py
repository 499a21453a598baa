"""Models of MLServer, read and written by its own codecs."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceResponse

import models


class Runtime(MLModel):
    async def predict(self, payload):
        try:
            arrays = {i.name: self._read(i) for i in payload.inputs}
            outputs = models.compute(self.name, arrays)
        except ValueError as e:
            raise InferenceError(str(e))
        wanted = [o.name for o in payload.outputs or []]
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[self._write(n, a) for n, a in outputs.items() if not wanted or n in wanted],
        )

    def _read(self, tensor):
        if tensor.datatype == "BYTES":
            return np.array(StringCodec.decode_input(tensor), dtype=object).reshape(tensor.shape)
        return NumpyCodec.decode_input(tensor)

    def _write(self, name, array):
        if array.dtype == object:
            out = StringCodec.encode_output(name, list(array.flatten()))
            out.shape = list(array.shape)
            return out
        return NumpyCodec.encode_output(name, array)
