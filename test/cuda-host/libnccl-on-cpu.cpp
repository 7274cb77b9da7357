// NCCL without GPUs: the calls of runtime/cuda/libnccl.ts with the C ABI of libnccl.so.2, on the driver of libcuda-on-cpu.cpp. All
// ranks are in one process, each with a device of its own. A collective is work on a stream; its stream goes on when all ranks'
// streams have come to theirs, and the last to come copies or adds up for all. As nonblocking communicators may, every call
// only begins what it is asked for, and a call before `ncclCommGetAsyncError` says that it is done is refused.
//
// Environment, read whenever it matters:
//   HIREC_NCCL_ON_CPU_VERSION  as ncclGetVersion gives it, 22304 without it
//
// With -DNCCL_H the definitions are compiled against NVIDIA's own header, so that the compiler compares signatures.

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#if defined(NCCL_H)
#include NCCL_H
#else
typedef struct CUstream_st* cudaStream_t;
typedef struct ncclComm* ncclComm_t;
typedef struct { char internal[128]; } ncclUniqueId;
typedef enum {
  ncclSuccess = 0, ncclUnhandledCudaError = 1, ncclSystemError = 2, ncclInternalError = 3, ncclInvalidArgument = 4,
  ncclInvalidUsage = 5, ncclRemoteError = 6, ncclInProgress = 7
} ncclResult_t;
typedef enum { ncclSum = 0 } ncclRedOp_t;
typedef enum { ncclUint8 = 1, ncclFloat32 = 7 } ncclDataType_t;
/** As of version 2.14. */
typedef struct {
  std::size_t size;
  unsigned int magic;
  unsigned int version;
  int blocking;
} ncclConfig_t;
#endif

// What runtime/cuda/libnccl.ts states as numbers.
static_assert(sizeof(ncclUniqueId) == 128 && offsetof(ncclConfig_t, version) == 12 && offsetof(ncclConfig_t, blocking) == 16);
static_assert(ncclUint8 == 1 && ncclFloat32 == 7 && ncclSum == 0 && ncclRemoteError == 6 && ncclInProgress == 7);

extern "C" {
int cuCtxGetCurrent(void** context);
int cuLaunchHostFunc(cudaStream_t stream, void (*function)(void*), void* data);
int cuMemGetAddressRange_v2(unsigned long long* base, std::size_t* bytes, unsigned long long pointer);
void hirec_on_cpu_ask_again();
}

namespace {

struct Collective {
  ncclComm* communicator;
  cudaStream_t stream;
  /** False for an all-gather. */
  bool is_sum;
  const void* give;
  void* take;
  /** Bytes that each rank gives. */
  std::size_t bytes;
};

/** A collective of all ranks, whose streams have come to it or not. */
struct Meeting {
  std::map<int, const Collective*> arrived;
  bool is_done = false;
  int gone = 0;
};

struct Group {
  int size = 0;
  std::map<int, ncclComm*> ranks;
  std::map<unsigned long long, Meeting> meetings;
  int parted = 0;
  /** Why none of its ranks can go on. */
  ncclResult_t failure = ncclSuccess;
};

std::map<std::string, std::shared_ptr<Group>> groups;
std::vector<std::unique_ptr<ncclComm>> communicators;
std::string last_error;

} // namespace

struct ncclComm {
  std::shared_ptr<Group> group;
  int rank;
  void* context;
  /** What was asked for and is not begun yet. */
  std::unique_ptr<Collective> asked;
  /** Graphs use them again and again. */
  std::vector<std::unique_ptr<Collective>> begun;
  /** How many its stream has done, and whether it has come to the next. */
  unsigned long long done = 0;
  bool has_arrived = false;
  bool is_parting = false;
  bool is_gone = false;
};

namespace {

ncclResult_t refuse(ncclResult_t result, const std::string& why) {
  last_error = why;
  return result;
}

void exchange(const std::map<int, const Collective*>& all) {
  const Collective& first = *all.begin()->second;
  if (first.is_sum) {
    std::vector<float> sum(first.bytes / sizeof(float));
    for (const auto& [_, each] : all) {
      for (std::size_t i = 0; i < sum.size(); i++) sum[i] += static_cast<const float*>(each->give)[i];
    }
    for (const auto& [_, each] : all) std::memcpy(each->take, sum.data(), first.bytes);
  } else {
    for (const auto& [_, each] : all) {
      for (const auto& [rank, other] : all) {
        std::memcpy(static_cast<char*>(each->take) + static_cast<std::size_t>(rank) * first.bytes, other->give, first.bytes);
      }
    }
  }
}

bool are_alike(const std::map<int, const Collective*>& all) {
  const Collective& first = *all.begin()->second;
  for (const auto& [_, each] : all) {
    if (each->is_sum != first.is_sum || each->bytes != first.bytes) return false;
  }
  return true;
}

/** The kernel of a collective. */
void perform(void* data) {
  const Collective& collective = *static_cast<const Collective*>(data);
  ncclComm& communicator = *collective.communicator;
  Group& group = *communicator.group;
  if (communicator.is_gone) return;
  Meeting& meeting = group.meetings[communicator.done];
  if (!communicator.has_arrived) meeting.arrived[communicator.rank] = &collective;
  communicator.has_arrived = true;
  // Those that are not alike wait for each other for ever, as on cards.
  const bool is_whole = static_cast<int>(meeting.arrived.size()) == group.size && group.failure == ncclSuccess;
  if (!meeting.is_done && (!is_whole || !are_alike(meeting.arrived))) return hirec_on_cpu_ask_again();
  if (!meeting.is_done) exchange(meeting.arrived);
  meeting.is_done = true;
  communicator.has_arrived = false;
  if (++meeting.gone == group.size) group.meetings.erase(communicator.done);
  communicator.done++;
}

bool lies_in_memory(const void* pointer, std::size_t bytes) {
  unsigned long long base = 0;
  std::size_t size = 0;
  const auto address = reinterpret_cast<unsigned long long>(pointer);
  return cuMemGetAddressRange_v2(&base, &size, address) == 0 && address - base + bytes <= size;
}

ncclComm* find(ncclComm_t communicator) {
  for (const auto& each : communicators) {
    if (each.get() == communicator && !each->is_gone) return each.get();
  }
  return nullptr;
}

/** What an asynchronous call has come to. */
ncclResult_t state_of(const ncclComm& communicator) {
  const Group& group = *communicator.group;
  if (group.failure != ncclSuccess) return group.failure;
  if (communicator.asked || static_cast<int>(group.ranks.size()) < group.size) return ncclInProgress;
  return communicator.is_parting && group.parted < group.size ? ncclInProgress : ncclSuccess;
}

ncclResult_t ask(ncclComm_t handle, Collective collective, std::size_t take_bytes) {
  ncclComm* const communicator = find(handle);
  if (communicator == nullptr) return refuse(ncclInvalidArgument, "there is no such communicator");
  if (const ncclResult_t state = state_of(*communicator)) {
    return state == ncclInProgress ? refuse(ncclInvalidArgument, "the communicator has not done what it was told before") : state;
  }
  if (communicator->is_parting) return refuse(ncclInvalidUsage, "the communicator was finalized");
  if (!lies_in_memory(collective.give, collective.bytes) || !lies_in_memory(collective.take, take_bytes)) {
    return refuse(ncclInvalidArgument, "a buffer is not in the memory of a device");
  }
  communicator->asked = std::make_unique<Collective>(collective);
  return ncclInProgress;
}

} // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  const char* const text = std::getenv("HIREC_NCCL_ON_CPU_VERSION");
  *version = text == nullptr ? 22304 : std::atoi(text);
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess: return "no error";
    case ncclInvalidArgument: return "invalid argument";
    case ncclInvalidUsage: return "invalid usage";
    case ncclRemoteError: return "remote process exited or there was a network error";
    case ncclInProgress: return "NCCL operation in progress";
    default: return "unknown result code";
  }
}

const char* ncclGetLastError(ncclComm_t) { return last_error.c_str(); }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int made = 0;
  // Every byte counts, so that an id that is cut is found.
  std::string bytes;
  while (bytes.size() < sizeof *id) bytes += "group " + std::to_string(made) + " ";
  std::memcpy(id->internal, bytes.data(), sizeof *id);
  made++;
  groups[std::string(id->internal, sizeof *id)] = std::make_shared<Group>();
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* communicator, int size, ncclUniqueId id, int rank, ncclConfig_t* config) {
  *communicator = nullptr;
  const auto found = groups.find(std::string(id.internal, sizeof id));
  if (found == groups.end()) return refuse(ncclInvalidArgument, "there is no such id");
  if (config->magic != 0xcafebeef || config->size < 20 || config->version < 21400 || config->blocking != 0) {
    return refuse(ncclInvalidArgument, "the configuration is none of a nonblocking communicator");
  }
  const std::shared_ptr<Group>& group = found->second;
  if (group->ranks.empty()) group->size = size;
  if (size != group->size || rank < 0 || rank >= size || group->ranks.count(rank) > 0) {
    return refuse(ncclInvalidArgument, "the rank does not fit");
  }
  void* context = nullptr;
  cuCtxGetCurrent(&context);
  for (const auto& [other, each] : group->ranks) {
    if (each->context != context) continue;
    last_error = "Duplicate GPU detected : rank " + std::to_string(rank) + " and rank " + std::to_string(other);
    group->failure = ncclInvalidUsage;
  }
  communicators.push_back(std::make_unique<ncclComm>());
  *communicator = communicators.back().get();
  (*communicator)->group = group;
  (*communicator)->rank = rank;
  (*communicator)->context = context;
  group->ranks[rank] = *communicator;
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t handle, ncclResult_t* state) {
  ncclComm* const communicator = find(handle);
  if (communicator == nullptr) return refuse(ncclInvalidArgument, "there is no such communicator");
  *state = state_of(*communicator);
  if (communicator->asked) {
    communicator->begun.push_back(std::move(communicator->asked));
    Collective* const collective = communicator->begun.back().get();
    if (cuLaunchHostFunc(collective->stream, perform, collective) != 0) *state = ncclUnhandledCudaError;
  }
  return ncclSuccess;
}

ncclResult_t ncclAllGather(
  const void* give, void* take, std::size_t count, ncclDataType_t type, ncclComm_t communicator, cudaStream_t stream
) {
  if (type != ncclUint8) return refuse(ncclInvalidArgument, "bytes are gathered here");
  const int size = find(communicator) == nullptr ? 0 : find(communicator)->group->size;
  return ask(communicator, {communicator, stream, false, give, take, count}, count * static_cast<std::size_t>(size));
}

ncclResult_t ncclAllReduce(
  const void* give, void* take, std::size_t count, ncclDataType_t type, ncclRedOp_t operation, ncclComm_t communicator,
  cudaStream_t stream
) {
  if (type != ncclFloat32 || operation != ncclSum) return refuse(ncclInvalidArgument, "f32 are added up here");
  return ask(communicator, {communicator, stream, true, give, take, count * 4}, count * 4);
}

ncclResult_t ncclCommFinalize(ncclComm_t handle) {
  ncclComm* const communicator = find(handle);
  if (communicator == nullptr) return refuse(ncclInvalidArgument, "there is no such communicator");
  if (const ncclResult_t state = state_of(*communicator)) return state == ncclInProgress ? ncclInvalidArgument : state;
  communicator->is_parting = true;
  communicator->group->parted++;
  return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t handle) {
  ncclComm* const communicator = find(handle);
  if (communicator == nullptr) return refuse(ncclInvalidArgument, "there is no such communicator");
  communicator->is_gone = true;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t handle) {
  ncclComm* const communicator = find(handle);
  if (communicator == nullptr) return refuse(ncclInvalidArgument, "there is no such communicator");
  communicator->is_gone = true;
  if (communicator->group->failure != ncclSuccess) return ncclSuccess;
  communicator->group->failure = ncclRemoteError;
  last_error = "the connection to rank " + std::to_string(communicator->rank) + " was closed";
  return ncclSuccess;
}

/** For tests: how many communicators there are. */
int hirec_on_cpu_communicators() {
  int alive = 0;
  for (const auto& each : communicators) alive += each->is_gone ? 0 : 1;
  return alive;
}

} // extern "C"
