"""Programs of torch.export whose list of weights lies."""

import pytest

from tests.hostile.making import Part, archive, pt2_file, refused, weight


class TestPt2:
    """Lists of weights that lie."""

    @pytest.mark.parametrize(
        ("entry", "key"),
        [
            (weight(sizes=[{"as_int": 3}, {"as_int": 2}]), "tensor_bounds"),
            (weight(sizes=[{"as_expr": "s0"}, {"as_int": 2}]), "tensor_shape"),
            (weight(sizes=[{"as_int": -2}, {"as_int": 2}]), "tensor_shape"),
            (weight(sizes=[2, 2]), "tensor_shape"),
            (weight(strides=[{"as_int": 2**40}, {"as_int": 1}]), "tensor_bounds"),
            (weight(storage_offset={"as_int": 1}), "tensor_bounds"),
            (weight(storage_offset={"as_int": -1}), "tensor_bounds"),
            (weight(path_name="../../etc/passwd"), "pytorch_storage"),
            (weight(dtype=99), "no_tensor"),
            (weight(dtype="7"), "pt2_weights"),
            (weight(use_pickle=True), "no_tensor"),
            (None, "no_tensor"),
        ],
    )
    def test_refused(self, entry, key):
        assert refused(pt2_file(entry)) == key

    @pytest.mark.parametrize("text", [b"", b"[" * 10**5, b"[]", b'{"config": []}'])
    def test_a_list_that_is_none(self, text):
        name = "m/data/weights/model_weights_config.json"
        assert refused(archive(Part(name, text))) == "pt2_weights"
