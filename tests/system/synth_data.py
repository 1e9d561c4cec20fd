#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""synth-data's promises, checked with other people's decoders: Pillow for pictures, protobuf for Examples,
and a CRC32C of its own. Everything else is the real program: resumption, full disks, bad input."""
import hashlib
import io
import json
import math
import os
import pty
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import warnings
import zlib

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from PIL import Image, ImageStat
except ImportError as missing:
    print(f"SKIP: {missing}; apt-get install python3-pil python3-protobuf")
    sys.exit(77)

PROGRAM = os.path.join(os.environ["FEEDRATE_BIN"], "synth-data")
SAMPLES, SEED = 1280, 5
warnings.simplefilter("error")


def run(*args, timeout=120, **more):
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True, timeout=timeout, check=False, **more)


def make(*args):
    done = run(*args)
    if done.returncode or done.stderr or done.stdout:
        raise AssertionError(f"{args}: exit {done.returncode}: {done.stdout}{done.stderr}")


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def tree(folder):
    """Path of each file to the hash of its bytes."""
    return {os.path.relpath(os.path.join(at, name), folder): hashlib.md5(read(at, name)).digest()
            for at, _, names in os.walk(folder) for name in names}


# ---- formats, each read by code that shares nothing with the writer ----

CRC_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # Castagnoli, reflected
    CRC_TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(crc):
    """As TFRecord stores it."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def example_class():
    """tf.train.Example from its .proto, without TensorFlow."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")

    def message(parent, name, *fields):
        made = parent.add(name=name)
        for number, (label, kind, type_name) in fields:
            made.field.add(name=f"{name}{number}".lower() if kind else "feature", number=number, label=label,
                           type=kind or field.TYPE_MESSAGE, type_name=type_name)
        return made

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    nested = field.TYPE_MESSAGE
    message(file.message_type, "BytesList", (1, (many, field.TYPE_BYTES, None)))
    message(file.message_type, "FloatList", (1, (many, field.TYPE_FLOAT, None)))
    message(file.message_type, "Int64List", (1, (many, field.TYPE_INT64, None)))
    message(file.message_type, "Feature", (1, (one, nested, ".tensorflow.BytesList")), (2, (one, nested, ".tensorflow.FloatList")),
            (3, (one, nested, ".tensorflow.Int64List")))
    features = message(file.message_type, "Features", (1, (many, None, ".tensorflow.Features.FeatureEntry")))
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=one, type=field.TYPE_STRING)
    entry.field.add(name="value", number=2, label=one, type=nested, type_name=".tensorflow.Feature")
    message(file.message_type, "Example", (1, (one, nested, ".tensorflow.Features")))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("tensorflow.Example"))


EXAMPLE = example_class()


def parse_example(data):
    """{key: the only value of its list}."""
    features = EXAMPLE.FromString(data).example1.feature
    values = {}
    for key, feature in features.items():
        lists = [part[1] for part in feature.ListFields()]
        assert len(lists) == 1 and len(lists[0].ListFields()) == 1, key
        values[key], = lists[0].ListFields()[0][1]
    return values


def records(data):
    """(offset, length CRC, Example, its CRC) of each record of a shard."""
    at = 0
    while at < len(data):
        length, length_crc = struct.unpack_from("<QI", data, at)
        assert masked(crc32c(data[at:at + 8])) == length_crc, f"CRC of the length at {at}"
        end = at + 12 + length
        assert end + 4 <= len(data), f"record at {at} is cut"
        yield at, data[at + 12:end], struct.unpack_from("<I", data, end)[0]
        at = end + 4


def manifest(folder):
    """The head as a dictionary, and [(path, size, [(offset, length, CRC, class)...])...]."""
    head, *lines = read(folder, "manifest.txt").decode().splitlines()
    magic, *words = head.split(" ")
    assert magic == "feedrate-manifest/1"
    files, index = [], 0
    for line in lines:
        kind, *values = line.split("\t")
        if kind == "F":
            path, size, first, count = values[0], *map(int, values[1:])
            assert first == index, line
            files.append((path, size, []))
            index += count
        else:
            assert kind == "S", line
            files[-1][2].append((int(values[0]), int(values[1]), int(values[2], 16), int(values[3])))
    assert sum(len(samples) for _, _, samples in files) == index
    return dict(word.split("=") for word in words), files


def size_share(size):
    """The share of pictures below `size`, by the fit in docs/internals/synth.md."""
    def normal(z):
        return (1 + math.erf(z / math.sqrt(2))) / 2
    small = min(max((size - 2048) / (50000 - 2048), 0), 1)
    return .10 * small + .89 * normal((size - 114051) / 30000) + .01 * normal(math.log(size / 797574) / .75)


class Scratch(unittest.TestCase):
    """In memory where there is room, so that the disk's rate does not decide how long it takes."""
    PARENT = "/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 1 << 30 else None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="feedrate-synth-", dir=self.PARENT)
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)


class Sets(unittest.TestCase):
    """Two sets of one seed, one in each format, on a real disk."""
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="feedrate-synth-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.shards, cls.folders = (os.path.join(cls.dir, name) for name in ("shards", "folders"))
        make(cls.shards, "--samples", SAMPLES, "--seed", SEED)
        make(cls.folders, "--samples", SAMPLES, "--seed", SEED, "--format", "imagefolder")
        cls.head, cls.files = manifest(cls.shards)
        cls.examples = [example for path, _, _ in cls.files for _, example, _ in records(read(cls.shards, path))]
        cls.parsed = [parse_example(example) for example in cls.examples]
        cls.jpegs = [values["image/encoded"] for values in cls.parsed]

    def test_shards_are_named_and_framed(self):
        self.assertEqual([path for path, _, _ in self.files], [f"train-{i:05}-of-00128" for i in range(128)])
        self.assertEqual(set(os.listdir(self.shards)), {path for path, _, _ in self.files} | {"manifest.txt"})
        for number, (path, size, samples) in enumerate(self.files):
            data = read(self.shards, path)
            self.assertEqual(len(data), size)
            found = list(records(data))
            self.assertEqual([(at, len(example)) for at, example, _ in found], [sample[:2] for sample in samples])
            for (_, example, crc), (_, _, listed, _) in zip(found, samples):
                self.assertEqual(masked(listed), crc, path)
            self.assertEqual(crc32c(found[number % len(found)][1]), samples[number % len(found)][2], path)

    def test_manifest_head(self):
        size = sum(size for _, size, _ in self.files)
        self.assertEqual(self.head, {"format": "tfrecord", "seed": str(SEED), "samples": str(SAMPLES), "bytes": str(size),
                                     "shards": "128", "classes": "1000"})

    def test_examples_have_the_keys_of_imagenet(self):
        classes = [sample[3] for _, _, samples in self.files for sample in samples]
        for i, values in enumerate(self.parsed):
            synset = f"n{90000000 + i % 1000:08}"
            width, height = Image.open(io.BytesIO(values["image/encoded"])).size
            self.assertEqual({key: value for key, value in values.items() if key != "image/encoded"}, {
                "image/height": height, "image/width": width, "image/colorspace": b"RGB", "image/channels": 3,
                "image/class/label": i % 1000 + 1, "image/class/synset": synset.encode(),
                "image/class/text": f"synthetic class {i % 1000}".encode(), "image/format": b"JPEG",
                "image/filename": f"{synset}_{i}.JPEG".encode()})
            self.assertEqual(classes[i], i % 1000)

    def test_every_picture_decodes(self):
        for jpeg in self.jpegs:
            self.assertEqual((jpeg[:3], jpeg[-2:]), (b"\xff\xd8\xff", b"\xff\xd9"))
            with Image.open(io.BytesIO(jpeg)) as image:
                image.load()
                self.assertEqual((image.format, image.mode), ("JPEG", "RGB"))
                self.assertTrue(16 <= image.width <= 4096 and .25 < image.width / image.height < 4, image.size)
                deviation = ImageStat.Stat(image.reduce(8) if image.width > 100 else image).stddev
                self.assertGreater(min(deviation), 5, "a picture, not a plain area")

    def test_both_formats_hold_the_same_pictures(self):
        head, files = manifest(self.folders)
        self.assertEqual((head["format"], head["shards"], len(files)), ("imagefolder", "0", SAMPLES))
        for i, (path, size, samples) in enumerate(files):
            name = f"n{90000000 + i % 1000:08}"
            self.assertEqual(path, f"{name}/{name}_{i}.JPEG")
            data = read(self.folders, path)
            self.assertEqual(data, self.jpegs[i])
            self.assertEqual([(sample[0], sample[1], sample[3]) for sample in samples], [(0, size, i % 1000)])
            if i % 10 == 0:
                self.assertEqual(crc32c(data), samples[0][2], path)

    def test_a_thousand_class_folders(self):
        names = os.listdir(self.folders)
        names.remove("manifest.txt")
        self.assertEqual(sorted(names), [f"n{90000000 + i:08}" for i in range(1000)])
        self.assertEqual(sum(len(os.listdir(os.path.join(self.folders, name))) for name in names), SAMPLES)

    def test_sizes_follow_the_fit(self):
        """Kolmogorov-Smirnov; beyond 1.95 / sqrt(n) only one seed in a thousand would be."""
        sizes = sorted(map(len, self.jpegs))
        n = len(sizes)
        distance = max(max(abs(size_share(size) - i / n), abs(size_share(size) - (i + 1) / n)) for i, size in enumerate(sizes))
        self.assertLess(distance, 1.95 / math.sqrt(n))

    def test_no_two_alike(self):
        """Neither whole pictures nor any 4 KiB block that a deduplicating store could share."""
        self.assertEqual(len(set(self.jpegs)), SAMPLES)
        for folder, files in ((self.shards, self.files), (self.folders, manifest(self.folders)[1])):
            blocks = [hashlib.md5(data[at:at + 4096]).digest() for data in (read(folder, path) for path, _, _ in files)
                      for at in range(0, len(data) - 4095, 4096)]
            self.assertEqual(len(set(blocks)), len(blocks))

    def test_incompressible(self):
        """One by one, and a shard at once, where what pictures share could be found."""
        for jpeg in self.jpegs[::40]:
            if len(jpeg) > 20000:
                self.assertGreater(len(zlib.compress(jpeg, 9)) / len(jpeg), .97)
        shard = read(self.shards, self.files[3][0])
        self.assertGreater(len(zlib.compress(shard, 9)) / len(shard), .98)


class Same(Scratch):
    def test_threads_do_not_matter_seeds_do(self):
        for how in (["--shards", "8"], ["--format", "imagefolder", "--classes=30"]):
            how = [word.replace("--classes", "--data.classes") for word in how]
            trees = []
            for threads in (1, 2, 7):
                make(self.path("set"), "--samples", 240, "--threads", threads, *how)
                trees.append(tree(self.path("set")))
                shutil.rmtree(self.path("set"))
            self.assertEqual(trees[0], trees[1])
            self.assertEqual(trees[0], trees[2])
            make(self.path("set"), "--samples", 240, "--seed", 2, *how)
            other = tree(self.path("set"))
            self.assertEqual(other.keys(), trees[0].keys())
            self.assertFalse(set(other.values()) & set(trees[0].values()))
            shutil.rmtree(self.path("set"))

    def test_bytes_are_as_many_samples_as_it_takes(self):
        make(self.path("bytes"), "--bytes", "20MB", "--shards", 4)
        head, files = manifest(self.path("bytes"))
        sizes = [len(parse_example(example)["image/encoded"]) for path, _, _ in files
                 for _, example, _ in records(read(self.path("bytes"), path))]
        self.assertGreaterEqual(sum(sizes), 20e6)
        self.assertLess(sum(sizes[:-1]), 20e6)
        make(self.path("samples"), "--samples", head["samples"], "--shards", 4)
        self.assertEqual(tree(self.path("bytes")), tree(self.path("samples")))

    def test_a_small_set_has_no_empty_shard(self):
        make(self.path("set"), "--samples", 3)
        self.assertEqual(sorted(os.listdir(self.path("set"))), ["manifest.txt"] + [f"train-{i:05}-of-00003" for i in range(3)])


class Resume(Scratch):
    SHARDS = ["--samples", "600", "--shards", "40"]
    FOLDERS = ["--samples", "2300", "--format", "imagefolder"]

    @classmethod
    def setUpClass(cls):
        cls.whole = {}
        for how in (cls.SHARDS, cls.FOLDERS):
            with tempfile.TemporaryDirectory(prefix="feedrate-synth-", dir=cls.PARENT) as folder:
                make(folder, *how)
                cls.whole[how[-1]] = tree(folder)

    def interrupt(self, how, bytes_made, number):
        """Ends a run when it has made so many bytes more; its exit code and message."""
        begin = self.used()
        with subprocess.Popen([PROGRAM, self.path("set"), "--threads", "2", *how], stderr=subprocess.PIPE, text=True) as child:
            while child.poll() is None and self.used() - begin < bytes_made:
                time.sleep(.005)
            child.send_signal(number)
            return child.wait(20), child.stderr.read()

    def used(self):
        files = (os.path.join(at, name) for at, _, names in os.walk(self.path("set")) for name in names)
        try:
            return sum(os.lstat(path).st_size for path in files)
        except FileNotFoundError:  # renamed meanwhile
            return 0

    def finish(self, how):
        make(self.path("set"), *how)
        self.assertEqual(tree(self.path("set")), self.whole[how[-1]])

    def check(self, how, number):
        rng = random.Random(number)
        interrupted = 0
        for times in (1, 3):
            for _ in range(times):
                code, text = self.interrupt(how, rng.uniform(0, int(how[1]) * 80000), number)
                interrupted += code != 0
                self.after(number, code, text, self.whole[how[-1]])
            self.finish(how)
            shutil.rmtree(self.path("set"))
        self.assertGreater(interrupted, 0, "no run was ever interrupted: the test tests nothing")

    def after(self, number, code, text, whole):
        if number == signal.SIGKILL or not code:
            self.assertIn(code, (0, -signal.SIGKILL))
            return
        if code == -signal.SIGINT:  # so early that it had no handler yet
            return
        self.assertEqual(code, 130)
        self.assertRegex(text, r"\Asynth-data: interrupted; [^\n]*\n\Z")
        left = tree(self.path("set"))
        left.pop("manifest.partial", None)
        self.assertEqual({path: digest for path, digest in left.items() if whole.get(path) != digest}, {}, "half-written files")

    def test_shards_interrupted(self):
        self.check(self.SHARDS, signal.SIGINT)

    def test_shards_killed(self):
        self.check(self.SHARDS, signal.SIGKILL)

    def test_folders_interrupted(self):
        self.check(self.FOLDERS, signal.SIGINT)

    def test_folders_killed(self):
        self.check(self.FOLDERS, signal.SIGKILL)

    def test_damaged_journal(self):
        how = self.SHARDS
        rng = random.Random(4)
        for damage in ("cut", "flip", "append"):
            while not os.path.exists(self.path("set/manifest.partial")):
                shutil.rmtree(self.path("set"), ignore_errors=True)
                self.interrupt(how, rng.uniform(5e6, 40e6), signal.SIGKILL)
            journal = bytearray(read(self.path("set/manifest.partial")))
            first = journal.index(b"\n") + 1
            if damage == "cut":
                del journal[rng.randrange(first, len(journal) + 1):]
            elif damage == "flip" and len(journal) > first:
                journal[rng.randrange(first, len(journal))] ^= 1
            else:
                journal += b"U\t1\t9999\t5\t00000000\nF\t"
            with open(self.path("set/manifest.partial"), "wb") as file:
                file.write(journal)
            self.finish(how)
            shutil.rmtree(self.path("set"))

    def test_lost_file_of_a_finished_unit_is_made_again(self):
        how = self.SHARDS
        while not os.path.exists(self.path("set/train-00000-of-00040")) or os.path.exists(self.path("set/manifest.txt")):
            shutil.rmtree(self.path("set"), ignore_errors=True)
            self.interrupt(how, 20e6, signal.SIGKILL)
        os.truncate(self.path("set/train-00000-of-00040"), 1000)
        self.finish(how)


class Told(Scratch):
    def expect(self, code, pattern, *args):
        done = run(*args)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertRegex(done.stderr, rf"\Asynth-data: [^\n]*{pattern}[^\n]*\n\Z")

    def test_bad_input(self):
        new, full, file = self.path("new"), self.path("full"), self.path("file")
        os.mkdir(full)
        for path in (os.path.join(full, "a"), file):
            with open(path, "w", encoding="utf-8"):
                pass
        for pattern, *args in (
                ("give one folder", "--samples", 3),
                ("give one folder", new, "b", "--samples", 3),
                ("give --samples N or --bytes", new),
                ("give --samples N or --bytes", new, "--samples", 0),
                ("give --samples N or --bytes", new, "--samples", 3, "--bytes", "1M"),
                ("none of tfrecord, imagefolder", new, "--samples", 3, "--format", "parquet"),
                ("--shards 9: more than the 3 samples", new, "--samples", 3, "--shards", 9),
                ("out of range; give 1 to 65536", new, "--samples", 3, "--shards", 0),
                ("out of range; give 1 to 1024", new, "--samples", 3, "--threads", 1025),
                ("out of range; give 0 to 1G", new, "--samples", "2G"),
                ("out of range", new, "--samples", 3, "--seed", -1),
                ("--bytes: more than 1000000000 images", new, "--bytes", "200T"),
                ("\"3x\" is not", new, "--bytes", "3x"),
                ("did you mean --samples", new, "--sample", 3),
                ("not empty and holds no data set", full, "--samples", 3),
                ("file: cannot make the folder", file, "--samples", 3)):
            with self.subTest(args):
                self.expect(2, pattern, *args)
        self.assertEqual(sorted(os.listdir(self.dir)), ["file", "full"])

    def test_folder_that_cannot_be_made(self):
        self.expect(1, "cannot make the folder", "/proc/feedrate", "--samples", 3)

    def test_another_set(self):
        make(self.path("set"), "--samples", 9, "--shards", 3)
        before = tree(self.path("set"))
        for args in (["--samples", 8, "--shards", 3], ["--samples", 9, "--shards", 3, "--seed", 2], ["--samples", 9],
                     ["--samples", 9, "--format", "imagefolder"], ["--samples", 9, "--shards", 3, "--data.classes=9"]):
            self.expect(2, "holds another data set", self.path("set"), *args)
        self.assertEqual(tree(self.path("set")), before)

    def test_complete_set(self):
        args = [self.path("set"), "--samples", 9, "--shards", 3]
        make(*args)
        stamps = {name: os.stat(self.path(f"set/{name}")).st_mtime_ns for name in os.listdir(self.path("set"))}
        make(*args)
        self.assertEqual({name: os.stat(self.path(f"set/{name}")).st_mtime_ns for name in stamps}, stamps)
        os.truncate(self.path("set/train-00001-of-00003"), 100)
        self.expect(1, "train-00001-of-00003 is missing or has changed.*remove the folder", *args)

    def test_one_at_a_time(self):
        os.mkdir(self.path("set"))
        with subprocess.Popen(["flock", "-n", self.path("set"), "sleep", "20"]) as holder:
            try:
                while not re.search(rf"FLOCK .* {holder.pid} ", read("/proc/locks").decode()):
                    time.sleep(.01)
                self.expect(1, "another synth-data is at work", self.path("set"), "--samples", 3)
            finally:
                holder.kill()

    def test_read_only_folder(self):
        os.mkdir(self.path("set"), 0o555)
        drop = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
        os.chmod(self.dir, 0o755)
        done = run(self.path("set"), "--samples", 3, **drop)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"\Asynth-data: [^\n]*cannot write manifest.partial: Permission denied; give a folder that can be written to\n\Z")

    def test_progress_on_a_terminal(self):
        master, slave = pty.openpty()
        with subprocess.Popen([PROGRAM, self.path("set"), "--samples", "5000", "-j", "1"], stderr=slave, stdout=subprocess.PIPE) as child:
            os.close(slave)
            text = b""
            while True:
                try:
                    more = os.read(master, 4096)
                except OSError:  # the other end is closed
                    break
                text += more
            self.assertEqual((child.wait(60), child.stdout.read()), (0, b""))
        os.close(master)
        lines = text.decode().replace("\x1b[K", "").split("\r")
        self.assertRegex(lines[1], r"^synth-data: [\d.]+ .?B of 5\d\d MB \(\d+%\), [\d.]+ .B/s, [\d.m ]+s left$")
        self.assertRegex(lines[-2], r"set: 5000 images, 5\d\d MB, in [\d.]+s \([\d.]+ .B/s\)$")

    def test_json(self):
        done = run(self.path("set"), "--samples", 20, "--shards", 2, "--threads", 2, "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        told = json.loads(done.stdout)
        head, files = manifest(self.path("set"))
        images = sum(len(parse_example(example)["image/encoded"]) for path, _, _ in files
                     for _, example, _ in records(read(self.path("set"), path)))
        self.assertGreater(told.pop("seconds"), 0)
        self.assertGreater(told.pop("bytes_per_s"), 0)
        self.assertEqual(told, {"dir": self.path("set"), "format": "tfrecord", "samples": 20, "bytes": int(head["bytes"]),
                                "image_bytes": images, "made_bytes": images, "seed": 1, "threads": 2})

    def test_help_tells_ranges(self):
        done = run("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for word in ("--samples N", "at most 1G", "3GB, 512MiB", "1 to 65536", "synth-data /data/small --samples 3840"):
            self.assertIn(word, done.stdout)


class FullDisk(unittest.TestCase):
    """On a small tmpfs, in a mount namespace of our own: what is mounted goes with it."""
    def test_full_disk(self):
        probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
        if subprocess.run(probe, capture_output=True, check=False).returncode:
            self.skipTest("no mount namespaces here")
        done = subprocess.run(["unshare", "-rm", sys.executable, os.path.abspath(__file__), "--inside"],
                              capture_output=True, text=True, timeout=150, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class InsideNamespace(Scratch):
    def setUp(self):
        super().setUp()
        make(self.path("shards"), "--samples", 600, "--shards", 60, "-j", 1)
        make(self.path("folders"), "--samples", 600, "--format", "imagefolder", "-j", 1)
        os.mkdir(self.path("small"))

    def mount(self, options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", self.path("small")], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.path("small")], check=False)

    def expect_full(self, code, text):
        self.assertEqual(code, 1)
        self.assertRegex(text, r"\Asynth-data: [^\n]*: the disk is full; free space and give the same command to go on\n\Z")

    def left(self, of):
        whole, left = tree(self.path(of)), tree(self.path("small/set"))
        left.pop("manifest.partial", None)
        self.assertEqual({path for path, digest in left.items() if whole.get(path) != digest}, set())
        return left

    def test_too_small_from_the_start(self):
        self.mount("size=60M")
        done = run(self.path("small/set"), "--samples", 600)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Asynth-data: [^\n]*: needs \d+(\.\d)? MB, but \d+(\.\d)? MB are free; free space,[^\n]*\n\Z")
        self.assertEqual(os.listdir(self.path("small/set")), [])

    def test_no_room_for_a_line(self):
        self.mount("size=1M")
        with open(self.path("small/filler"), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 1 << 20)
        done = run(self.path("small/set"), "--samples", 6)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Asynth-data: [^\n]*cannot write manifest.partial: No space left on device; free space and[^\n]*\n\Z")
        self.assertEqual(os.listdir(self.path("small/set")), [])

    def test_no_inodes(self):
        self.mount("size=200M,nr_inodes=900")
        how = [self.path("small/set"), "--samples", 600, "--format", "imagefolder"]
        done = run(*how)
        self.expect_full(done.returncode, done.stderr)
        self.assertEqual(self.left("folders"), {})
        subprocess.run(["mount", "-o", "remount,nr_inodes=4000", self.path("small")], check=True)
        make(*how)
        self.assertEqual(tree(self.path("small/set")), tree(self.path("folders")))

    def fill(self, child):
        """Takes all room while the child stands still. It may have ended meanwhile."""
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # before, it still takes room itself
        try:
            with open(self.path("small/filler"), "wb") as file:
                os.posix_fallocate(file.fileno(), 0, os.statvfs(self.path("small")).f_bavail * 4096)
        finally:
            child.send_signal(signal.SIGCONT)

    def test_full_on_the_way(self):
        self.mount("size=200M")
        how = [self.path("small/set"), "--samples", "600", "--shards", "60", "-j", "1"]
        for _ in range(20):
            with subprocess.Popen([PROGRAM, *how], stderr=subprocess.PIPE, text=True) as child:
                while child.poll() is None and not os.path.exists(self.path("small/set/train-00002-of-00060")):
                    time.sleep(.001)
                if child.returncode is None:
                    self.fill(child)
                code, text = child.wait(20), child.stderr.read()
            if code:
                break
            subprocess.run(["rm", "-rf", *how[:1], self.path("small/filler")], check=True)  # it had been faster than we
        self.expect_full(code, text)
        self.assertGreaterEqual(len(self.left("shards")), 3)
        done = run(*how)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Asynth-data: [^\n]*: needs [^\n]* free; free space,[^\n]*\n\Z")
        os.unlink(self.path("small/filler"))
        make(*how)
        self.assertEqual(tree(self.path("small/set")), tree(self.path("shards")))


if __name__ == "__main__":
    inside = "--inside" in sys.argv
    names = ["InsideNamespace"] if inside else ["Sets", "Same", "Resume", "Told", "FullDisk"]
    unittest.main(argv=sys.argv[:1], defaultTest=names)
