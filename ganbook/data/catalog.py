"""The data sets that the book knows: where each comes from, what is in it, under which licence, and with which care.

Adding one is adding an entry here; loading, downloading, the command line and the data-card page follow from it.
Checksums are those of the makers' files, as TensorFlow Datasets has published them too (``url_checksums``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ganbook.data.fetch import RemoteFile
from ganbook.errors import unknown_name

Kind = Literal["embedded", "idx", "cifar", "pictures", "lmdb", "pairs"]


@dataclass(frozen=True)
class Entry:
    """One data set and its card."""

    name: str
    title: str
    kind: Kind
    what: str  # one sentence
    splits: Mapping[str, int]  # pictures in each
    side: tuple[int, int]  # width and height as published, pixels
    channels: int
    n_classes: int  # 0: no labels
    licence: str
    home: str
    cite: str  # a key of book/references.bib
    care: str  # what a user has to know: licence, consent, bias, traps
    files: tuple[RemoteFile, ...] = field(default=(), repr=False)
    crop: str = "center"  # default, for sets that are cropped
    variants: tuple[str, ...] = ()  # what may follow the name after a colon
    shown: bool = True  # whether pictures of it may stand in a published book

    @property
    def count(self) -> int:
        """Pictures in all splits."""
        return sum(self.splits.values())


FASHION_HOME = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
FASHION_MIRROR = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion"
CYCLEGAN_HOMES = (
    "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets",
    "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets",
)
DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="


def _fashion(name: str, sha256: str, size: int) -> RemoteFile:
    return RemoteFile(name, (f"{FASHION_HOME}/{name}", f"{FASHION_MIRROR}/{name}"), sha256, size)


def _cyclegan(name: str, sha256: str, size: int) -> tuple[RemoteFile]:
    return (RemoteFile(f"{name}.zip", tuple(f"{home}/{name}.zip" for home in CYCLEGAN_HOMES), sha256, size),)


ENTRIES = (
    Entry(
        "mnist",
        "MNIST",
        "embedded",
        "Handwritten digits, centred by mass, anti-aliased grey on black.",
        {"train": 60000, "test": 10000},
        (28, 28),
        1,
        10,
        "CC BY-SA 3.0",
        "https://yann.lecun.org/exdb/mnist/",
        "lecun1998gradient",
        "Written by census employees and school pupils in the USA; no personal data beyond handwriting. Inception "
        "features mean little on it: report `FD(mnist-judge)` and the judge's accuracy instead of FID.",
    ),
    Entry(
        "emoji",
        "Emoji (Twemoji and Noto)",
        "embedded",
        "The same 3,786 emoji drawn by two artists' teams, on white, in nine Unicode categories.",
        {"train": 6844, "test": 728},
        (64, 64),
        3,
        9,
        "Twemoji CC BY 4.0; Noto Emoji SIL OFL 1.1",
        "https://www.unicode.org/Public/emoji/",
        "twemoji",
        "People are drawn in five skin tones besides yellow and in several genders, not evenly; the split "
        "keeps all variants of one base emoji on one side. Colours were reduced to 256-colour palettes.",
        variants=("twemoji", "noto"),
    ),
    Entry(
        "fashion_mnist",
        "Fashion-MNIST",
        "idx",
        "Articles of clothing from a shop's catalogue in MNIST's format.",
        {"train": 60000, "test": 10000},
        (28, 28),
        1,
        10,
        "MIT",
        "https://github.com/zalandoresearch/fashion-mnist",
        "xiao2017fashion",
        "A drop-in for MNIST that is less easily solved. Some labels are wrong; shirts, pullovers and coats overlap.",
        (
            _fashion(
                "train-images-idx3-ubyte.gz",
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                26421880,
            ),
            _fashion(
                "train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29515
            ),
            _fashion(
                "t10k-images-idx3-ubyte.gz",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                4422102,
            ),
            _fashion(
                "t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5148
            ),
        ),
    ),
    Entry(
        "emnist",
        "EMNIST",
        "idx",
        "Handwritten letters and digits from NIST Special Database 19 in MNIST's format: the balanced selection of "
        "47 classes, or the 26 letters.",
        {"train": 112800, "test": 18800},
        (28, 28),
        1,
        47,
        "public domain (US government work)",
        "https://www.nist.gov/itl/products-and-services/emnist-dataset",
        "cohen2017emnist",
        "The published files are transposed; `ganbook` turns them upright. `emnist:letters` has 124,800 + 20,800 "
        "pictures in 26 classes that join capitals and small letters.",
        (
            RemoteFile(
                "gzip.zip",
                (
                    "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
                    "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
                ),
                "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
                561753746,
            ),
        ),
        variants=("balanced", "letters"),
    ),
    Entry(
        "cifar10",
        "CIFAR-10",
        "cifar",
        "Tiny photographs of ten kinds of animals and vehicles, the field's common yardstick.",
        {"train": 50000, "test": 10000},
        (32, 32),
        3,
        10,
        "none stated by the makers; customary for research",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "krizhevsky2009learning",
        "Scraped from web searches without consent; drawn from 80 Million Tiny Images, which was withdrawn for "
        "offensive labels (not among these ten). Published as raw bytes: copies saved as JPEG shift FID.",
        (
            RemoteFile(
                "cifar-10-binary.tar.gz",
                ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                170052171,
            ),
        ),
    ),
    Entry(
        "celeba",
        "CelebA, aligned",
        "pictures",
        "Photographs of celebrities' faces, aligned by the eyes.",
        {"train": 162770, "valid": 19867, "test": 19962},
        (178, 218),
        3,
        0,
        "non-commercial research only; may not be passed on",
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        "liu2015deep",
        "Photographs of real people taken from the web without their consent; mostly young, white and made up, so a "
        "GAN trained on it says little about faces at large. Attribute labels such as “attractive” are judgements of "
        "the labellers. Use it to compare methods, not to make pictures of people. Crops differ between papers "
        "(178, 160, 140, 128, 108) and change FID by more than most methods do: the crop is part of every result here.",
        (
            RemoteFile(
                "img_align_celeba.zip",
                (f"{DRIVE}0B7EVK8r0v71pZjFTYXZWM3FlRnM",),
                "46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
                1443490838,
            ),
        ),
        crop="178",
        shown=False,
    ),
    Entry(
        "lsun_church_outdoor",
        "LSUN church outdoor",
        "lmdb",
        "Photographs of churches from outside, shorter side 256 pixels.",
        {"train": 126227, "valid": 300},
        (256, 256),
        3,
        0,
        "none stated by the makers; customary for research",
        "https://www.yf.io/p/lsun",
        "yu2015lsun",
        "Found by web search and labelled by a network with people in the loop; mostly European churches. Published "
        "as JPEG of quality 75, so its own compression is part of what a GAN learns and of the best FID it can reach. "
        "The official validation split has 300 pictures, too few for a covariance: compare with `train`.",
        (
            RemoteFile(
                "church_outdoor_train_lmdb.zip",
                ("http://dl.yf.io/lsun/scenes/church_outdoor_train_lmdb.zip",),
                "91128ae026840ac0c5982b4445ab5fc4e092d6847cca76793b2b1a0815c2e74a",
                2448463466,
            ),
            RemoteFile(
                "church_outdoor_val_lmdb.zip",
                ("http://dl.yf.io/lsun/scenes/church_outdoor_val_lmdb.zip",),
                "34635b7547a3e51a15f942a4a4082dd6bc9cca381a953515cb2275c0eed50584",
                5957308,
            ),
        ),
    ),
    Entry(
        "facades",
        "CMP facades",
        "pairs",
        "Photographs of facades (A) and their label maps (B), aligned by name.",
        {"train": 800, "test": 212},
        (256, 256),
        3,
        0,
        "CC BY-SA 4.0 (CMP Facade Database)",
        "https://cmp.felk.cvut.cz/~tylecr1/facade/",
        "tylecek2013spatial",
        "The small set of pix2pix. Facades of European and American cities; people and number plates may be visible.",
        _cyclegan("facades", "9a31ebf3a31b9b5cd195dd5bf62e9308e00cb94604d1019e3889ac84248695c0", 35135868),
    ),
    Entry(
        "horse2zebra",
        "Horses and zebras",
        "pairs",
        "Photographs of horses (A) and of zebras (B), not paired.",
        {"train": 2401, "test": 260},
        (256, 256),
        3,
        0,
        "ImageNet's terms: non-commercial research and teaching",
        "https://junyanz.github.io/CycleGAN/",
        "zhu2017unpaired",
        "Taken from ImageNet, that is, from the web without consent. Some horses carry riders; the counts are "
        "1,067 + 120 horses and 1,334 + 140 zebras.",
        _cyclegan("horse2zebra", "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1", 116867962),
        shown=False,
    ),
)
CATALOG: Mapping[str, Entry] = {entry.name: entry for entry in ENTRIES}
OWN = ("folder:PATH", "zip:PATH")  # pictures that the user has


def entry_of(name: str) -> Entry:
    """The entry of a set's name, with or without a variant after a colon.

    Raises:
        InputError: no such set or variant.
    """
    family, _, variant = name.partition(":")
    if family not in CATALOG:
        raise unknown_name("data set", name, [*CATALOG, *OWN])
    entry = CATALOG[family]
    if variant and variant not in entry.variants:
        raise unknown_name("data set", name, [family, *(f"{family}:{v}" for v in entry.variants)])
    return entry
