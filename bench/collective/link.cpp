// A network between network namespaces: link DELAY_MICROSECONDS MEGABITS_PER_SECOND NAMESPACE... It makes a TUN device
// `shards` in each namespace, the i-th with the address 10.77.0.i (i from 1 on), and hands packets from one to the other after the
// delay, each device sending at most so fast. Linux's netem does the same where the kernel has it. Ends with SIGTERM.

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <queue>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Packet {
  Clock::time_point due;
  std::vector<unsigned char> bytes;
};

struct Device {
  int file;
  /** When everything is sent that waits to be sent. */
  Clock::time_point free;
  /** What arrives here, by when it is due. */
  std::queue<Packet> arriving;
};

[[noreturn]] void fail(const char* what) {
  perror(what);
  exit(1);
}

int open_device(const char* network_namespace) {
  const std::string path = std::string("/run/netns/") + network_namespace;
  const int space = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET) != 0) fail(path.c_str());
  close(space);
  const int file = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request{};
  strcpy(request.ifr_name, "shards");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (file < 0 || ioctl(file, TUNSETIFF, &request) != 0) fail("/dev/net/tun");
  return file;
}

}  // namespace

int main(int count, char** words) {
  const auto delay = std::chrono::microseconds(atol(words[1]));
  const double nanoseconds_per_byte = 8000.0 / atof(words[2]);
  std::vector<Device> devices;
  for (int i = 3; i < count; i++) devices.push_back({open_device(words[i]), {}, {}});
  puts("ready");
  fflush(stdout);
  std::vector<pollfd> polled;
  for (const Device& device : devices) polled.push_back({device.file, POLLIN, 0});
  for (;;) {
    auto next = Clock::now() + std::chrono::seconds(1);
    for (const Device& device : devices) {
      if (!device.arriving.empty()) next = std::min(next, device.arriving.front().due);
    }
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(next - Clock::now()).count();
    const timespec timeout{0, left < 0 ? 0 : left > 999'999'999 ? 999'999'999 : left};
    if (ppoll(polled.data(), polled.size(), &timeout, nullptr) < 0) fail("ppoll");
    for (Device& from : devices) {
      unsigned char bytes[65536];
      for (ssize_t length; (length = read(from.file, bytes, sizeof bytes)) > 0;) {
        // The last byte of an IPv4 packet's destination says whose it is.
        const size_t to = bytes[19] - 1u;
        if (length < 20 || bytes[0] >> 4 != 4 || to >= devices.size()) continue;
        const auto takes = std::chrono::nanoseconds(static_cast<long>(length * nanoseconds_per_byte));
        from.free = std::max(from.free, Clock::now()) + takes;
        devices[to].arriving.push({from.free + delay, {bytes, bytes + length}});
      }
    }
    for (Device& device : devices) {
      while (!device.arriving.empty() && device.arriving.front().due <= Clock::now()) {
        const std::vector<unsigned char>& bytes = device.arriving.front().bytes;
        // What a full device refuses is lost, as in any network; TCP sends it again.
        if (write(device.file, bytes.data(), bytes.size()) < 0) perror("write");
        device.arriving.pop();
      }
    }
  }
}
