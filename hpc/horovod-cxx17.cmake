# Horovod 0.28.1 asks CMake for C++14; torch's headers need C++17. Read twice: as the toolchain file, and by the next line again after CMake's own rules.
set(CMAKE_USER_MAKE_RULES_OVERRIDE_CXX "${CMAKE_CURRENT_LIST_FILE}")
set(CMAKE_CXX14_STANDARD_COMPILE_OPTION "-std=c++17")
set(CMAKE_CXX14_EXTENSION_COMPILE_OPTION "-std=gnu++17")
