"""ONNX graphs that are broken or that lie."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.making import graph_file, refused

ENDS = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]


class TestONNX:
    """Graphs whose fields lie."""

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"dims": [3, 3]}, "tensor_bounds"),
            ({"dims": [2**40, 2**40]}, "tensor_bounds"),
            ({"dims": [-2, -3]}, "tensor_bounds"),
            ({"raw_data": b"abc"}, "tensor_bounds"),
            ({"data_type": 99}, "tensor_bounds"),
            ({"data_location": TensorProto.EXTERNAL}, "onnx_external"),
        ],
    )
    def test_refused(self, changes, key):
        assert refused(graph_file(**changes)) == key

    def test_no_file_beside_a_graph_is_opened(self, monkeypatch):
        held = [TensorProto(name="w", dims=[2, 2], data_type=1, data_location=1)]
        held[0].external_data.add(key="location", value="/etc/passwd")
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
        made = helper.make_graph([node], "g", [], ENDS, held)
        content = helper.make_model(made).SerializeToString()
        monkeypatch.setattr("builtins.open", lambda *_, **__: pytest.fail("opened"))
        assert refused(content) == "onnx_external"

    def test_a_node_without_outputs(self):
        node = helper.make_node("MatMul", ["x", "w"], [])
        held = [numpy_helper.from_array(np.ones((2, 2), "f4"), "w")]
        made = helper.make_graph([node], "g", [], ENDS, held)
        assert refused(helper.make_model(made).SerializeToString()) == "onnx_damaged"
