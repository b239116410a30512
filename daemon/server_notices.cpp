// What is sent unasked, and what bounds it.
#include "daemon/server_state.hpp"

namespace busway::daemon {

using control::Transfer;

bool Server::State::notify(std::uint32_t number, const control::Notice& notice, int fd) {
  const Session* session = sessions.find(number);
  if (session == nullptr || !session->connection) return false;
  const ConnectionPtr connection = session->connection;
  try {
    if (connection->waiting_output() >= limits::kUnreadOffersPerSession) {
      ++counters.offers_dropped;  // it does not read; what it misses it asks for
      return true;
    }
    connection->refresh_unread();
    bool with_fd = fd >= 0 && connection->waiting_output() == 0 &&
                   connection->unread_offers() < limits::kUnreadOffersPerSession &&
                   fds_may_go(*connection, 1);
    const control::Bytes bytes = control::encode_notice(notice);
    Transfer sent = Transfer::done;
    if (with_fd) {
      sent = connection->send({bytes, {fd}});
      with_fd = sent != Transfer::fds_in_flight;
    }
    if (!with_fd) {
      sent = connection->send({bytes});
      if (fd >= 0) ++counters.offers_without_fd;
    }
    if (with_fd) connection->count_offer();
    if (sent == Transfer::closed) {
      close(connection);
      return false;
    }
    show_interest(connection);
    return true;
  } catch (const Error& error) {
    close_with(connection, error.error(), error.sentence());
    return false;
  }
}

bool Server::State::fds_may_go(Connection& connection, std::size_t fds) {
  connection.refresh_unread();
  if (unread.room(connection.peer.uid, fds)) return true;
  // The count is from when each connection was last looked at: look at all of this uid before saying no.
  look_at_lingering();
  for (const auto& [number, other] : connections_) {
    if (other->peer.uid == connection.peer.uid) other->refresh_unread();
  }
  return unread.room(connection.peer.uid, fds);
}

void Server::State::report(const std::string& sentence) const {
  if (options.report) options.report(printable(sentence));
}

}  // namespace busway::daemon
