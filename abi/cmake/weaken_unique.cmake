# Run as a script: makes the GNU unique symbols of OBJECT (statics of inline functions) weak. objcopy would leave them
# global otherwise, and two libraries with the same function would share its statics.
execute_process(COMMAND "${NM}" --defined-only --extern-only --format=posix "${OBJECT}"
  OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n ]+ u " unique "${symbols}")
list(TRANSFORM unique REPLACE " u $" "\n")
list(JOIN unique "" unique)
file(WRITE "${OBJECT}.unique" "${unique}")
execute_process(COMMAND "${OBJCOPY}" "--weaken-symbols=${OBJECT}.unique" "${OBJECT}" COMMAND_ERROR_IS_FATAL ANY)
