# SPDX-License-Identifier: Apache-2.0
#
# Makes a C array of a text file: cmake -DINPUT=FILE -DOUTPUT=FILE -DNAME=NAME -P this.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "#include <stddef.h>\n\nextern const char ${NAME}[];\nextern const size_t ${NAME}_len;\nconst char ${NAME}[] = {${bytes}0};\nconst size_t ${NAME}_len = sizeof ${NAME} - 1;\n")
