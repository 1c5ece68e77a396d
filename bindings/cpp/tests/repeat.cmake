# Runs a program 50 times; each must end as EXPECTED.
foreach(run RANGE 1 50)
  execute_process(COMMAND ${PROGRAM} ${WAY} ${MODEL} RESULT_VARIABLE ended ERROR_VARIABLE said TIMEOUT 60)
  if(NOT ended MATCHES "^(${EXPECTED})$")
    message(FATAL_ERROR "run ${run} ended with ${ended}, not ${EXPECTED}: ${said}")
  endif()
endforeach()
