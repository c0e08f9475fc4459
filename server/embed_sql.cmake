# SPDX-License-Identifier: Apache-2.0
# Writes OUTPUT, a C file with the migrations in FOLDER as the table NAME.
file(GLOB files ${FOLDER}/*.sql)
list(SORT files)
set(entries "")
foreach(file ${files})
  get_filename_component(name ${file} NAME_WE)
  string(REGEX MATCH "^[0-9]+" number ${name})
  math(EXPR version "${number}")
  file(READ ${file} text)
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  string(REPLACE "\n" "\\n\"\n     \"" text "${text}")
  string(APPEND entries "    {${version}, \"${name}\",\n     \"${text}\"},\n")
endforeach()
list(LENGTH files count)
file(WRITE ${OUTPUT}
"#include \"sql_migrations.h\"

const struct sql_migration ${NAME}[] = {
${entries}};

const size_t ${NAME}_count = ${count};
")
