# cuDNN's headers and library: under CUDNN_ROOT, beside the CUDA toolkit, in the system, or in the nvidia-cudnn package of a Python environment
# (the active one, or that of python3). Sets CUDNN_FOUND, CUDNN_VERSION, CUDNN_INCLUDE_DIR, CUDNN_LIBRARY and CUDNN_PYTHON_DIRS, the folders
# of that environment's `nvidia` packages. limpid opens the library when it runs: nothing links to it.
set(CUDNN_PYTHON_DIRS)
foreach(environment IN ITEMS "$ENV{VIRTUAL_ENV}" "$ENV{CONDA_PREFIX}")
  if(environment)
    file(GLOB packages "${environment}/lib/python3*/site-packages/nvidia")
    list(APPEND CUDNN_PYTHON_DIRS ${packages})
  endif()
endforeach()
find_program(CUDNN_PYTHON NAMES python3)
mark_as_advanced(CUDNN_PYTHON)
if(CUDNN_PYTHON)
  execute_process(COMMAND ${CUDNN_PYTHON} -c "import site; print(';'.join(p + '/nvidia' for p in site.getsitepackages() + [site.getusersitepackages()]))"
    OUTPUT_VARIABLE packages OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  list(APPEND CUDNN_PYTHON_DIRS ${packages})
endif()
set(hints ${CUDNN_PYTHON_DIRS})
list(TRANSFORM hints APPEND /cudnn)

# The library first: the header must be the one that lies beside it.
find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 HINTS ${CUDAToolkit_LIBRARY_DIR} ${CUDAToolkit_LIBRARY_ROOT} PATHS ${hints} PATH_SUFFIXES lib lib64)
if(CUDNN_LIBRARY)
  get_filename_component(beside "${CUDNN_LIBRARY}" DIRECTORY)
  get_filename_component(beside "${beside}" DIRECTORY)
endif()
find_path(CUDNN_INCLUDE_DIR cudnn_backend.h HINTS ${beside}/include ${CUDAToolkit_INCLUDE_DIRS} PATHS ${hints} PATH_SUFFIXES include)
mark_as_advanced(CUDNN_LIBRARY CUDNN_INCLUDE_DIR)

unset(CUDNN_VERSION)
if(CUDNN_INCLUDE_DIR AND EXISTS "${CUDNN_INCLUDE_DIR}/cudnn_version.h")
  file(STRINGS "${CUDNN_INCLUDE_DIR}/cudnn_version.h" lines REGEX "#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) ")
  string(REGEX REPLACE "[^0-9]+([0-9]+)[^0-9]+([0-9]+)[^0-9]+([0-9]+).*" "\\1.\\2.\\3" CUDNN_VERSION "${lines}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CUDNN REQUIRED_VARS CUDNN_LIBRARY CUDNN_INCLUDE_DIR VERSION_VAR CUDNN_VERSION)
