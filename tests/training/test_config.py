"""A configuration is read whole or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from detector.errors import InputError
from training.config import TrainConfig, load_config

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


DETECTORS = sorted(path for path in CONFIGS.glob("*.yaml") if path.stem not in ("glance", "limb"))


@pytest.mark.parametrize("path", DETECTORS, ids=lambda path: path.stem)
def test_the_configurations_that_come_along_are_valid(path: Path) -> None:
    assert load_config(path) != TrainConfig()


def test_what_is_not_said_keeps_its_default(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "optimiser: {epochs: 3}"))
    assert config.optimiser.epochs == 3
    assert config.model_copy(update={"optimiser": TrainConfig().optimiser}) == TrainConfig()
    assert load_config(written(tmp_path, "")) == TrainConfig()


def test_a_configuration_comes_back_from_its_own_dump(tmp_path: Path) -> None:
    config = load_config(CONFIGS / "tiny.yaml", ["data.recipe.empty=0.5"])
    assert load_config(written(tmp_path, yaml.safe_dump(config.model_dump(mode="json")))) == config


def test_overrides_replace_the_files_settings(tmp_path: Path) -> None:
    path = written(tmp_path, "seed: 1\ndata: {count: 10, sides_px: [64, 96]}")
    overrides = ["data.count=20", "optimiser.learning_rate=1e-3", "data.cache=/elsewhere/a=b", "devices=[0]"]
    config = load_config(path, overrides[:3])
    assert (config.seed, config.data.count, config.data.sides_px) == (1, 20, (64, 96))
    assert config.optimiser.learning_rate == 1e-3
    assert config.data.cache == Path("/elsewhere/a=b")
    with pytest.raises(InputError, match="devices"):
        load_config(path, overrides)


@pytest.mark.parametrize(
    ("text", "overrides", "named"),
    [
        ("epochs: 3", [], "epochs"),
        ("optimiser: {epoch: 3}", [], "optimiser.epoch"),
        ("data: {recipe: {hotspot_snrs: [1, 2]}}", [], "hotspot_snrs"),
        ("", ["data.counts=3"], "data.counts"),
        ("", ["data.count=many"], "data.count"),
        ("", ["data.count"], "key=value"),
        ("seed: 3", ["seed.first=3"], "'seed' holds a value"),
        ("a: [", [], "YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, overrides: list[str], named: str) -> None:
    with pytest.raises(InputError, match=named):
        load_config(written(tmp_path, text), overrides)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        load_config(tmp_path / "absent.yaml")
