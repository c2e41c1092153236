"""AIIN under MONAI's and torch's own machinery: lazy resampling, `Invertd` over workers, `torch.compile`, writers."""

import nibabel
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, ITKReader, MetaTensor, decollate_batch
from monai.transforms import Compose, Flipd, Invertd, Resized, Rotated, SaveImage, SaveImaged, Zoomd
from PIL import Image

from monai_xr.transforms import AIIN, AIINd, LoadXrayd, RandAIIN, RandAIINd


@pytest.fixture
def pixels():
    return torch.from_numpy(np.random.default_rng(7).random((1, 37, 50), np.float32))


MOVES = {
    "flip": lambda: [Flipd("image", 1)],
    "turn": lambda: [Rotated("image", 0.3)],
    "turn and resize": lambda: [Rotated("image", 0.3), Resized("image", (32, 32))],
    "zoom": lambda: [Zoomd("image", 0.7, keep_size=False)],
}


@pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES)
def test_lazy_chain_equalises_what_monai_resampled(pixels, moves):
    given = {"image": MetaTensor(pixels)}
    resampled = Compose([*moves(), Flipd("image", 0, lazy=False)], lazy=True)(given)
    resampled = Flipd("image", 0)(resampled)["image"].as_tensor()  # flipped twice: what is pending was applied
    result = Compose([*moves(), AIINd("image")], lazy=True)(given)["image"]
    torch.testing.assert_close(result.as_tensor(), AIIN()(resampled), rtol=0, atol=0)


@pytest.mark.parametrize("transform", [AIIN(), RandAIIN(1.0)], ids=["fixed", "drawn"])
def test_called_on_its_own_it_applies_what_is_pending(pixels, transform):
    pending = Flipd("image", 1, lazy=True)({"image": MetaTensor(pixels)})["image"]
    result = transform(pending)
    assert not result.has_pending_operations
    again = transform(pixels.flip(2), randomize=False) if isinstance(transform, RandAIIN) else transform(pixels.flip(2))
    torch.testing.assert_close(result.as_tensor(), again, rtol=0, atol=0)
    assert [each["class"] for each in result.applied_operations] == ["Flip", type(transform).__name__]


def test_masks_and_references_with_pending_operations_are_applied_too(pixels):
    flip = Flipd(["image", "mask"], 1, lazy=True)
    item = flip({"image": MetaTensor(pixels), "mask": MetaTensor((pixels > 0.5).float())})
    flipped = AIIN()(pixels.flip(2), mask=pixels.flip(2) > 0.5)
    result = AIIN()(item["image"], mask=item["mask"])
    torch.testing.assert_close(result.as_tensor(), flipped, rtol=0, atol=0)


@pytest.mark.parametrize("make", [lambda: AIINd("image"), lambda: RandAIINd("image", 0.5)], ids=["fixed", "drawn"])
def test_another_instance_inverts_what_workers_made(pixels, make):
    flip = Flipd("image", 1)  # which goes by the object
    data = Dataset([{"image": MetaTensor(pixels)}] * 4, Compose([flip, make()]))
    batch = next(iter(DataLoader(data, batch_size=4, num_workers=1)))
    other = Compose([flip, make()])
    for item in decollate_batch(batch):
        back = Invertd("image", other, "image", nearest_interp=False, to_tensor=True)(dict(item))["image"]
        assert back.applied_operations == []
        torch.testing.assert_close(back.as_tensor().flip(2), item["image"].as_tensor(), rtol=0, atol=0)


def test_inverse_of_another_kind_is_refused(pixels):
    with pytest.raises(RuntimeError, match="most recently applied"):
        RandAIIN().inverse(AIIN()(MetaTensor(pixels)))


@pytest.mark.filterwarnings("ignore:Dynamo detected a call")  # MONAI's MetaTensor
@pytest.mark.parametrize("kind", [torch.Tensor, MetaTensor])
@pytest.mark.parametrize("transform", [AIIN(), AIINd("image")], ids=["array", "dictionary"])
def test_compiled_code_around_it_gives_the_same(pixels, transform, kind):
    def around(image):
        if isinstance(transform, AIIN):
            return transform(image * 0.5) + 1
        return transform({"image": image * 0.5})["image"] + 1

    image = MetaTensor(pixels) if kind is MetaTensor else pixels
    torch.testing.assert_close(torch.compile(around, backend="eager")(image), around(image), rtol=0, atol=0)


@pytest.fixture
def film(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (40, 32), np.uint8)
    Image.fromarray(grey).save(tmp_path / "film.png")
    return AIINd("image")(LoadXrayd("image")({"image": tmp_path / "film.png"}))


def options(folder, extension=".nii.gz"):
    """MONAI 1.6.1 writes no plane unless it keeps its third axis: any (1, H, W), whatever its metadata."""
    return {
        "output_dir": folder,
        "output_ext": extension,
        "squeeze_end_dims": False,
        "separate_folder": False,
        "print_log": False,
    }


@pytest.mark.parametrize("extension", [".nii.gz", ".mha"])
def test_normalised_film_is_written_and_read_again(film, tmp_path, extension):
    SaveImaged("image", **options(tmp_path / "out", extension))(film)
    (path,) = (tmp_path / "out").iterdir()
    voxels, _ = (reader := ITKReader()).get_data(reader.read(path))
    np.testing.assert_array_equal(np.asarray(voxels).squeeze(), np.asarray(film["image"]).squeeze())


def test_nifti_of_a_film_holds_its_affine(film, tmp_path):
    image = film["image"]
    image.affine = torch.diag(torch.tensor([0.2, 0.1, 1, 1], dtype=torch.float64))
    SaveImage(**options(tmp_path / "out"))(image)
    (path,) = (tmp_path / "out").iterdir()
    np.testing.assert_allclose(np.abs(nibabel.load(path).affine.diagonal()), [0.2, 0.1, 1, 1])


def test_smaller_film_is_brought_back_to_its_file_as_monai_does(film, tmp_path):
    smaller = Resized("image", (20, 16))(film)
    SaveImaged("image", resample=True, **options(tmp_path / "out"))(smaller)
    (path,) = (tmp_path / "out").iterdir()
    assert nibabel.load(path).shape[:2] == (40, 32)


def test_png_of_a_film_lies_as_the_film(film, tmp_path):
    save = SaveImage(output_dir=tmp_path / "out", output_ext=".png", scale=255, separate_folder=False, print_log=False)
    save.set_options(write_kwargs={"reverse_indexing": False})(film["image"])
    (path,) = (tmp_path / "out").iterdir()
    written = np.asarray(Image.open(path))
    np.testing.assert_allclose(written, np.asarray(film["image"][0]) * 255, atol=1)
