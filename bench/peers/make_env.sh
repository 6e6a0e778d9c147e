#!/usr/bin/env bash
# Makes bench/peers/.venv with PyTorch, torchvision and Captum, for the CPU.
#
# usage: bench/peers/make_env.sh [--full]      --full: with the CUDA libraries (several GB), to run on a GPU
#
# PyPI's torch is linked against a dozen CUDA libraries that a CPU run never calls. The lean environment takes the real
# cudart and cupti (57 MB, called at import) and puts empty stand-ins for the rest beside libtorch, where its RPATH looks
# before the system; lazy binding (a .pth file sets dlopen's flag) leaves the functions unresolved until called, which is never.
# If that does not work here (other torch, no C compiler), the full set of dependencies is installed instead.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
env=$here/.venv
mode=lean; [[ ${1:-} == --full ]] && mode=full
stamp="$mode $(sha256sum < "$here/requirements.txt")"

if [[ -f $env/.done && $(<"$env/.done") == "$stamp" ]]; then exit 0; fi

works() { "$env/bin/python" -c 'import torch, torchvision, captum.attr; torch.cuda.is_available()'; }

stand_ins() {
  local site lib name
  site=$("$env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
  lib=$site/torch/lib
  for name in libcublas.so.13 libcublasLt.so.13 libcudnn.so.9 libcufft.so.12 libcufile.so.0 libcusparse.so.12 \
              libcusparseLt.so.0 libnccl.so.2 libnvrtc.so.13; do
    [[ -e $lib/$name ]] || cc -shared -x c /dev/null -o "$lib/$name" -Wl,-soname,"$name"
  done
  # The one library of which data, not only functions, is referred to: data is never bound lazily.
  cc -shared -x c - -o "$lib/libnvshmem_host.so.3" -Wl,-soname,libnvshmem_host.so.3 \
     -Wl,--version-script=<(echo 'NVSHMEM { *; };') <<< 'int nvshmem_selected_device_transport;'
  echo 'import os, sys; sys.setdlopenflags(os.RTLD_LAZY)' > "$site/lazy_binding.pth"
}

rm -rf "$env"
python3 -m venv "$env"
if [[ $mode == lean ]]; then
  "$env/bin/pip" install --quiet --no-deps -r "$here/requirements.txt"
  if ! { stand_ins && works; }; then
    echo "make_env: the lean environment does not work here; installing every dependency" >&2
    rm -rf "$env"; python3 -m venv "$env"; mode=full
  fi
fi
if [[ $mode == full ]]; then
  "$env/bin/pip" install --quiet -r "$here/requirements.txt"
  works
fi
echo "$stamp" > "$env/.done"
"$env/bin/python" -c 'import torch, torchvision, captum; print("torch", torch.__version__, "torchvision", torchvision.__version__, "captum", captum.__version__)'
