# Tests of the tests: a check that is switched off must turn the suite red.
#
#   project_mutant(NAME                      unique; the test is called mutation.NAME
#     SOURCE lib/channel/replay_window.cc    the product source to mutate, from the root
#     FIND "<exact text>"                    occurs exactly once in SOURCE, or configuring fails
#     REPLACE "<text>"                       the mutation
#     TEST_SRCS tests/unit/...               the existing tests of that source, from the root, unchanged
#     DEPS channel ...                       what those tests link, the mutated source's library among it
#     [DEFINITIONS <macro>=<value> ...]      what those tests are compiled with
#     [FILTER <gtest filter>]                which of the tests to run; default: all
#     [KILLED_BY <regular expression>])      which tests must be among those that fail; default: any
#
# A mutated copy of SOURCE is compiled and linked, ahead of the library that holds the true one, with the tests. The test
# passes only if a test case reports failure: an abort or a crash before one does, a time-out, a link error, or a suite
# that stays green all count against it. What the mutated program dies of after its failure is reported says nothing
# more, so its exit status is not looked at. A source and its mutants change together: SOURCE is a configure dependency.
function(project_mutant name)
  cmake_parse_arguments(PARSE_ARGV 1 A "" "SOURCE;FIND;REPLACE;FILTER;KILLED_BY" "TEST_SRCS;DEPS;DEFINITIONS")
  foreach(required SOURCE FIND TEST_SRCS DEPS)
    if("${A_${required}}" STREQUAL "")
      message(FATAL_ERROR "mutant ${name}: ${required} is missing")
    endif()
  endforeach()
  set(original ${PROJECT_SOURCE_DIR}/${A_SOURCE})
  set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${original})
  file(READ ${original} text)
  string(REPLACE "${A_FIND}" "" without "${text}")
  string(LENGTH "${text}" text_length)
  string(LENGTH "${without}" without_length)
  string(LENGTH "${A_FIND}" find_length)
  math(EXPR num_found "(${text_length} - ${without_length}) / ${find_length}")
  if(NOT num_found EQUAL 1)
    message(FATAL_ERROR "mutant ${name}: FIND occurs ${num_found} times in ${A_SOURCE}, not once: \"${A_FIND}\"")
  endif()
  string(REPLACE "${A_FIND}" "${A_REPLACE}" text "${text}")
  set(mutated ${PROJECT_BINARY_DIR}/mutants/${name}/${A_SOURCE})
  file(CONFIGURE OUTPUT ${mutated} CONTENT "${text}" @ONLY)

  # The tests are compiled once for all the mutants that run the same ones.
  list(TRANSFORM A_TEST_SRCS PREPEND ${PROJECT_SOURCE_DIR}/)
  string(SHA1 suite "${A_TEST_SRCS} ${A_DEPS} ${A_DEFINITIONS}")
  string(SUBSTRING ${suite} 0 12 suite)
  set(suite mutation_suite_${suite})
  set(libraries ${A_DEPS} GTest::gmock GTest::gtest_main)
  if(NOT TARGET ${suite})
    add_library(${suite} OBJECT ${A_TEST_SRCS})
    target_include_directories(${suite} PRIVATE ${PROJECT_SOURCE_DIR})
    target_compile_definitions(${suite} PRIVATE
      SHOJI_SOURCE_DIR="${PROJECT_SOURCE_DIR}" SHOJI_BINARY_DIR="${PROJECT_BINARY_DIR}" ${A_DEFINITIONS})
    target_link_libraries(${suite} PRIVATE ${libraries})
  endif()
  set(target mutant_${name})
  add_executable(${target} ${mutated} $<TARGET_OBJECTS:${suite}>)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  # Without project_warnings: a mutation may leave something unused.
  target_link_libraries(${target} PRIVATE ${libraries})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/mutants)
  if(NOT A_FILTER)
    set(A_FILTER "*")
  endif()
  add_test(NAME mutation.${name} COMMAND
    sh -c "\"$@\" || true" sh $<TARGET_FILE:${target}> --gtest_brief=1 --gtest_filter=${A_FILTER})
  set_tests_properties(mutation.${name} PROPERTIES
    LABELS mutation TIMEOUT 120 PASS_REGULAR_EXPRESSION "\\[  FAILED  \\] [^\n]*${A_KILLED_BY}")
endfunction()
